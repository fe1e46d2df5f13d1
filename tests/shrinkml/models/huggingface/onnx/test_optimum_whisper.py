"""The graphs driven as optimum, transformers.js and onnx-asr drive them, beside torch."""

import json

import numpy as np
import onnxruntime
import pytest

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.export.stock import export
from shrinkml.models.huggingface.onnx.optimum_whisper import OPTIMUM_WHISPER, check
from shrinkml.models.huggingface.onnx.whisper_networks import shape_of
from tests.real_model import ALL, WHISPER, needs_real_speech, needs_whisper, real_waveforms

LONGEST = 20  # tokens that are compared


def opened(folder, suffix=""):
    """Encoder and decoder."""
    parts = ("encoder_model", "decoder_model_merged")
    return [onnxruntime.InferenceSession(folder / "onnx" / f"{part}{suffix}.onnx") for part in parts]


def written(sessions, model, waveform, *, empty_batch, longest=LONGEST):
    """The transcript, by a cache that is empty at first: of `empty_batch` rows, as programs differ there."""
    encoder, decoder = sessions
    mel = model.speech.batch([model.features(waveform)], "cpu").values.numpy()
    (hidden,) = encoder.run(["last_hidden_state"], {"input_features": mel})
    shape, config = shape_of(model), model.network.generation_config
    nothing = np.zeros((empty_batch, shape.heads, 0, shape.head_dims), np.float32)
    state = {one.name: nothing for one in decoder.get_inputs() if one.name.startswith("past_key_values")}
    tokens, found = [choices[0] for choices in model.prompt], []
    while len(found) < longest:
        inputs = {"input_ids": np.array([tokens]), "encoder_hidden_states": hidden}
        inputs["use_cache_branch"] = np.array([bool(found)])
        scores, *new = decoder.run(None, {**inputs, **state})
        state = {name: one if one.size else state[name] for name, one in zip(state, new, strict=True)}
        scores = scores[0, -1]
        scores[config.suppress_tokens + ([] if found else config.begin_suppress_tokens)] = -np.inf
        tokens = [int(scores.argmax())]
        if tokens == [model.end]:
            break
        found += tokens
    return model.text.decode(found)


@pytest.mark.parametrize("empty_batch", [0, 1])
def test_what_is_written_is_what_torch_writes_but_for_the_end_of_loops(lettered, arranged, noise, empty_batch):
    sessions = opened(arranged(OPTIMUM_WHISPER))
    for waveform in noise:
        (expected,) = lettered.transcribe([lettered.features(waveform)])
        found = written(sessions, lettered, waveform, empty_batch=empty_batch)
        assert found[: len(expected)] == expected[:LONGEST] != ""


@needs_whisper
@needs_real_speech
@pytest.mark.parametrize("n", ALL)
def test_what_is_written_of_real_speech_is_what_torch_writes(n, tmp_path):
    export(WHISPER, tmp_path / "layout", "optimum")
    model, sessions = shrinkml.load(WHISPER), opened(tmp_path / "layout")
    for waveform in real_waveforms(tmp_path / "speech", n):
        (expected,) = model.transcribe([model.features(waveform)])
        assert written(sessions, model, waveform, empty_batch=1, longest=model.room) == expected


def test_int8_has_a_name_of_its_own_and_is_smaller(lettered, arranged, noise):
    wide, narrow = arranged(OPTIMUM_WHISPER), arranged(OPTIMUM_WHISPER, int8=True)
    assert written(opened(narrow, "_quantized"), lettered, noise[0], empty_batch=1)
    for part in ("encoder_model", "decoder_model_merged"):
        small, large = narrow / "onnx" / f"{part}_quantized.onnx", wide / "onnx" / f"{part}.onnx"
        assert small.stat().st_size < large.stat().st_size


def test_the_files_of_a_model_of_transformers_lie_beside_the_graphs(arranged, lettered):
    folder = arranged(OPTIMUM_WHISPER)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "whisper"
    known = json.loads((folder / "vocab.json").read_text()) | json.loads((folder / "added_tokens.json").read_text())
    assert known["<|startoftranscript|>"] == lettered.prompt[0][0]
    assert {"generation_config.json", "preprocessor_config.json", "tokenizer.json"} <= {
        p.name for p in folder.iterdir()
    }


def test_features_that_these_programs_do_not_make_are_refused():
    with pytest.raises(ExportError, match="n_fft 640, hop_length 320; optimum computes its own"):
        check(shrinkml.load("reference/whisper"))
