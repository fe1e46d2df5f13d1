"""One recogniser in one program, for `stock_runtimes.py`: `python stock_worker.py PROGRAM FOLDER PRECISION`.

It opens FOLDER and prints a line of JSON, then answers each path that it reads (samples at 16 kHz, as numpy saves them)
with the text and the seconds of the processor that it took. It runs in any interpreter that has the program: nothing
but ours imports ShrinkML here.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
LEAD, TAIL = 80, RATE_HZ  # samples before (mirrored) and behind (silence) for sherpa-onnx: see docs/devices.md

Transcribe = Callable[[np.ndarray], str]


def ours(folder: Path, int8: bool) -> Transcribe:
    from shrinkml.export.recogniser import OnnxRecogniser

    recogniser = OnnxRecogniser(folder)
    return lambda waveform: recogniser.transcribe([waveform])[0]


def sherpa(folder: Path, int8: bool) -> Transcribe:
    from sherpa_onnx import OfflineRecognizer

    files = {path.stem: str(path) for path in folder.iterdir() if path.suffix in (".onnx", ".txt")}
    whisper = "decoder" in files
    recogniser = (OfflineRecognizer.from_whisper if whisper else OfflineRecognizer.from_omnilingual_asr_ctc)(**files)

    def transcribe(waveform: np.ndarray) -> str:
        stream = recogniser.create_stream()
        if whisper:
            waveform = np.pad(np.pad(waveform, (LEAD, 0), mode="reflect"), (0, TAIL))
        stream.accept_waveform(RATE_HZ, waveform)
        recogniser.decode_stream(stream)
        return stream.result.text

    return transcribe


def optimum(folder: Path, int8: bool) -> Transcribe:
    from onnxruntime import SessionOptions
    from optimum.onnxruntime import ORTModelForSpeechSeq2Seq
    from transformers import AutoProcessor

    options = SessionOptions()
    options.intra_op_num_threads = 1
    suffix = "_quantized" if int8 else ""
    model = ORTModelForSpeechSeq2Seq.from_pretrained(
        folder,
        subfolder="onnx",
        encoder_file_name=f"encoder_model{suffix}.onnx",
        decoder_file_name=f"decoder_model_merged{suffix}.onnx",
        session_options=options,
    )
    processor = AutoProcessor.from_pretrained(folder)

    def transcribe(waveform: np.ndarray) -> str:
        heard = processor(waveform, sampling_rate=RATE_HZ, return_tensors="pt")
        return processor.batch_decode(model.generate(heard.input_features), skip_special_tokens=True)[0]

    return transcribe


def onnx_asr(folder: Path, int8: bool) -> Transcribe:
    import onnx_asr
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    model = onnx_asr.load_model("whisper", folder, quantization="quantized" if int8 else None, sess_options=options)
    return lambda waveform: model.recognize(waveform, language="en")


def faster_whisper(folder: Path, int8: bool) -> Transcribe:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="int8" if int8 else "float32", cpu_threads=1)

    def transcribe(waveform: np.ndarray) -> str:
        options = {"beam_size": 1, "temperature": 0.0, "without_timestamps": True}
        segments, _ = model.transcribe(waveform, language="en", **options)
        return "".join(segment.text for segment in segments)

    return transcribe


PROGRAMS: dict[str, Callable[[Path, bool], Transcribe]] = {
    "ours": ours,
    "sherpa-onnx": sherpa,
    "optimum": optimum,
    "onnx-asr": onnx_asr,
    "faster-whisper": faster_whisper,
}


def main(program: str, folder: str, precision: str) -> None:
    transcribe = PROGRAMS[program](Path(folder), precision == "int8")
    print(json.dumps({"opened": program}), flush=True)
    for line in sys.stdin:
        waveform = np.load(line.strip())
        began = time.process_time()
        text = transcribe(waveform)
        print(json.dumps({"text": text.strip(), "seconds": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
