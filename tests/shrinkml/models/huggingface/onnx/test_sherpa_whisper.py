"""The graphs driven as sherpa-onnx drives them, beside torch; and sherpa-onnx itself, where it is installed."""

import base64

import numpy as np
import onnx
import onnxruntime
import pytest

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.export.stock import export
from shrinkml.models.huggingface.onnx.sherpa_whisper import SHERPA_WHISPER, check
from tests.real_model import ALL, WHISPER, needs_real_speech, needs_whisper, real_waveforms

ZEROS = 60  # frames of zeros behind what was spoken, as sherpa-onnx adds them
LONGEST = 20  # tokens that are compared


def written(folder, model, waveform):
    """The transcript by sherpa-onnx's steps, of transformers' log-mel."""
    encoder, decoder = (onnxruntime.InferenceSession(folder / f"{part}.onnx") for part in ("encoder", "decoder"))
    told = encoder.get_modelmeta().custom_metadata_map
    mel = model.features(waveform).numpy()[: len(waveform) // 160].T[None]
    mel = np.concatenate([mel, np.zeros((1, mel.shape[1], ZEROS), np.float32)], 2)
    keys, values = encoder.run(None, {"mel": mel})
    room = np.zeros((int(told["n_text_layer"]), 1, int(told["n_text_ctx"]), int(told["n_text_state"])), np.float32)
    state = {"in_n_layer_self_k_cache": room, "in_n_layer_self_v_cache": room}
    tokens, offset, found = [*map(int, told["sot_sequence"].split(",")), int(told["no_timestamps"])], 0, []
    while len(found) < LONGEST:
        inputs = {"tokens": np.array([tokens]), "n_layer_cross_k": keys, "n_layer_cross_v": values, **state}
        scores, *new = decoder.run(None, {**inputs, "offset": np.array([offset])})
        state, offset = dict(zip(state, new, strict=True)), offset + len(tokens)
        tokens = [int(scores[0, -1].argmax())]
        if tokens == [int(told["eot"])]:
            break
        found += tokens
    lines = [line.split() for line in (folder / "tokens.txt").read_text().splitlines()]
    text = {int(i): base64.b64decode(piece) for piece, i in lines}
    return b"".join(text[token] for token in found).decode().strip()


def test_what_is_written_is_what_torch_writes_but_for_the_end_of_loops(lettered, arranged, noise):
    folder = arranged(SHERPA_WHISPER)
    for waveform in noise:
        (expected,) = lettered.transcribe([lettered.features(waveform)])
        assert written(folder, lettered, waveform)[: len(expected)] == expected[:LONGEST] != ""


def test_int8_is_smaller_and_opens(lettered, arranged, noise):
    wide, narrow = arranged(SHERPA_WHISPER), arranged(SHERPA_WHISPER, int8=True)
    assert written(narrow, lettered, noise[0])
    for part in ("encoder.onnx", "decoder.onnx"):
        assert (narrow / part).stat().st_size < (wide / part).stat().st_size


def test_sherpa_onnx_opens_it(arranged, noise):
    sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
    assert all(stock(sherpa_onnx, arranged(SHERPA_WHISPER), *noise))


@needs_whisper
@needs_real_speech
@pytest.mark.parametrize("n", ALL)
def test_sherpa_onnx_writes_of_real_speech_what_torch_writes(n, tmp_path):
    sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
    export(WHISPER, tmp_path / "layout", "sherpa-onnx")
    model, waveforms = shrinkml.load(WHISPER), real_waveforms(tmp_path / "speech", n)
    expected = [model.transcribe([model.features(waveform)])[0] for waveform in waveforms]
    assert stock(sherpa_onnx, tmp_path / "layout", *waveforms) == expected


def stock(sherpa_onnx, folder, *waveforms):
    """The transcripts by sherpa-onnx, given more before and behind the words as docs/devices.md says."""
    recogniser = sherpa_onnx.OfflineRecognizer.from_whisper(
        **{part: str(folder / f"{part}.onnx") for part in ("encoder", "decoder")}, tokens=str(folder / "tokens.txt")
    )
    streams = [recogniser.create_stream() for _ in waveforms]
    for stream, waveform in zip(streams, waveforms, strict=True):
        stream.accept_waveform(16_000, np.pad(np.pad(waveform, (80, 0), mode="reflect"), (0, 16_000)))
        recogniser.decode_stream(stream)
    return [stream.result.text.strip() for stream in streams]


def test_a_language_that_is_looked_for_is_told_in_the_metadata(stock_dir, networks, tmp_path):
    model = shrinkml.load(stock_dir("whisper-multilingual"))
    check(model)
    SHERPA_WHISPER.arrange(model, networks, tmp_path, False)
    told = {one.key: one.value for one in onnx.load(tmp_path / "encoder.onnx").metadata_props}
    assert told["is_multilingual"] == "1"
    languages = dict(zip(told["all_language_codes"].split(","), told["all_language_tokens"].split(","), strict=True))
    known = model.network.generation_config.lang_to_id
    assert languages == {"en": str(known["<|en|>"]), "de": str(known["<|de|>"])}


def test_a_prompt_that_sherpa_onnx_cannot_give_is_refused(stock_dir):
    model = shrinkml.load(stock_dir("whisper"))
    model.prompt = model.prompt[:1]
    with pytest.raises(ExportError, match="sherpa-onnx gives a start, perhaps a language and a task, and a last mark"):
        check(model)
