"""Ways to int8 that a job does not take, beside those that it does: `python benchmarks/quantization.py`.

Dynamic quantization (activations scaled at each call) in ONNX Runtime is what `shrinkml export --int8` does, and with a
scale for each frame what `shrinkml.load(..., int8=True)` does in torch. Static quantization scales them once, by
calibration speech. Torch's own is dynamic too, and so is that of torchao, which is measured where it is installed
(`.venv/bin/pip install torchao==0.18.0`). Milliseconds of the processor per
utterance at batch 1 on one thread, medians of rounds in turns; WER of the first 200 utterances of dev.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

import shrinkml
from shrinkml.compression.sites import find_sites
from shrinkml.export.exporter import export
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.layers.linear import FormLinear
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors
from shrinkml.weights.form import Form

DATA = Path("data/commands")
N_CALIBRATED, N_HEARD, N_TIMED, ROUNDS = 60, 200, 40, 5
PRODUCTS = ["MatMul", "Gemm"]

Waveform = np.ndarray
Hear = Callable[[Waveform], str]


class Speech(CalibrationDataReader):  # type: ignore[misc]
    """Waveforms for the static quantizer, one at a time."""

    def __init__(self, waveforms: list[Waveform]) -> None:
        self._left = iter(waveforms)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input; None at the end."""
        waveform = next(self._left, None)
        return None if waveform is None else {"waveforms": waveform[None], "lengths": np.array([len(waveform)])}


def static(plain: Path, folder: Path, waveforms: list[Waveform]) -> OnnxRecogniser:
    """The export `plain` with products of scales that calibration speech gave."""
    folder.mkdir()
    prepared = folder / "prepared.onnx"
    quant_pre_process(plain / "encoder.onnx", prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        folder / "encoder.onnx",
        Speech(waveforms),
        op_types_to_quantize=PRODUCTS,
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    (folder / "recogniser.json").symlink_to((plain / "recogniser.json").resolve())
    return OnnxRecogniser(folder)


def torch_int8(model: HuggingFaceCtc) -> AsrModel:
    """`model` with every linear layer, and both factors of every low-rank one, quantized by torch."""
    split_(model)
    with warnings.catch_warnings(action="ignore"):  # that it moves to torchao
        small: AsrModel = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})  # type: ignore[no-untyped-call]
    return small


def torchao_int8(model: HuggingFaceCtc) -> AsrModel:
    """The same by torchao, uncompiled."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    split_(model)
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    return model


def split_(model: HuggingFaceCtc) -> None:
    """Makes two linear layers of every low-rank one: what quantizers look for."""
    for site in find_sites(model):
        if isinstance(site.module, FormLinear):
            parent, _, name = site.path.rpartition(".")
            setattr(model.get_submodule(parent), name, _in_turn(site.form, site.module.bias))


def _in_turn(form: Form, bias: nn.Parameter | None) -> nn.Sequential:
    layers = []
    for factor in form.factors:
        n_out, n_in = factor.shape
        layers.append(nn.Linear(n_in, n_out, bias=False))
        layers[-1].weight = nn.Parameter(factor.detach())
    layers[-1].bias = bias
    return nn.Sequential(*layers)


def ways(name: str, folder: Path, calibration: list[Waveform]) -> dict[str, Hear]:
    """What hears an utterance, by what it is called."""
    model = shrinkml.load(name)
    assert isinstance(model, HuggingFaceCtc), "a CTC model of transformers"

    def in_torch(recogniser: AsrModel) -> Hear:
        return lambda waveform: recogniser.transcribe([recogniser.features(waveform)])[0]

    def in_onnx(recogniser: OnnxRecogniser) -> Hear:
        return lambda waveform: recogniser.transcribe([waveform])[0]

    export(name, folder / "float")
    export(name, folder / "int8", int8=True)
    torchao = {"torchao, int8 dynamic": torchao_int8} if find_spec("torchao") else {}
    return {
        "torch, float32": in_torch(model),
        "torch, int8": in_torch(shrinkml.load(name, int8=True)),
        "torch's own, int8 dynamic": in_torch(torch_int8(deepcopy(model))),
        **{way: in_torch(quantized(deepcopy(model))) for way, quantized in torchao.items()},
        "ONNX Runtime, float32": in_onnx(OnnxRecogniser(folder / "float")),
        "ONNX Runtime, int8 dynamic": in_onnx(OnnxRecogniser(folder / "int8")),
        "ONNX Runtime, int8 static": in_onnx(static(folder / "float", folder / "static", calibration)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["reference/ctc"], help="CTC models, bundled or folders")
    models = parser.parse_args().models
    torch.set_num_threads(1)
    train, dev = (read_manifest(DATA / f"{split}.jsonl") for split in ("train", "dev"))
    calibration = [read_audio(one.audio, 16_000) for one in train[:N_CALIBRATED]]
    waveforms = [read_audio(one.audio, 16_000) for one in dev[:N_HEARD]]
    texts = [one.text for one in dev[:N_HEARD]]
    print("| model | way | ms per utterance | WER % |\n| --- | --- | --- | --- |")
    for name in models:
        with TemporaryDirectory() as folder:
            found = ways(name, Path(folder), calibration)
            times: dict[str, list[float]] = {way: [] for way in found}
            for _ in range(ROUNDS):
                for way, hear in found.items():
                    started = time.process_time()
                    for waveform in waveforms[:N_TIMED]:
                        hear(waveform)
                    times[way].append(1e3 * (time.process_time() - started) / N_TIMED)
            for way, hear in found.items():
                wer = word_errors(texts, [hear(waveform) for waveform in waveforms]).wer
                print(f"| {name} | {way} | {statistics.median(times[way]):.2f} | {100 * wer:.2f} |", flush=True)


if __name__ == "__main__":
    main()
