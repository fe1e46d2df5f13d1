"""Encoder-decoder models of transformers, traced, against torch: random weights, low rank, unequal lengths."""

import re

import numpy as np
import onnx
import pytest
import torch

import shrinkml
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.errors import AudioError, ExportError
from shrinkml.export import recogniser as recogniser_module
from shrinkml.export.exporter import Exporter, export
from shrinkml.export.graph import FRONT
from shrinkml.export.parity import fed as fed_to
from shrinkml.export.recipe import Recipe, read_recipe
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import ATTENTION, IGNORE
from shrinkml.models.huggingface.decoding import silence_watch
from shrinkml.models.huggingface.onnx.generation import suppressed
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech import loops, silence
from shrinkml.storage.checkpoint import save
from tests.stock_models import two_languages_, with_generation

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("speech_to_text", "moonshine")]  # tracing takes long
KINDS = ["whisper", *SLOW]
SECONDS = (1.3, 0.4, 1.99, 1.3)
TEXTS = ["turn on", "the", "the quick brown fox", ""]


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, stock_dir, tmp_path_factory):
    """Half of its break-even ranks, random factors; what is no letter is never written, the end not first."""
    model = shrinkml.load(stock_dir(request.param))
    plan = CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})
    small = reshape(model, plan)
    torch.manual_seed(1)
    for parameter in (p for p in small.parameters() if p.dim() > 1):
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    config = small.network.generation_config
    texts = [small.text.decode([token]) for token in range(small.network.config.vocab_size)]
    config.suppress_tokens = [token for token, text in enumerate(texts) if not (text.isascii() and text.isalpha())]
    config.suppress_tokens.remove(small.end)
    config.begin_suppress_tokens = [small.end]
    config.max_new_tokens = 40  # less than the longer utterances have room for
    if request.param == "whisper":
        two_languages_(config, small.text.tokenizer)
    folder = tmp_path_factory.mktemp("seq2seq") / request.param
    save(small, folder, dtype="float16")
    return folder


@pytest.fixture(scope="module")
def exporter(checkpoint):
    return Exporter(checkpoint)


@pytest.fixture(scope="module")
def exported(checkpoint, exporter):
    folder = checkpoint.with_name("onnx")
    exporter.write(folder)
    return folder


@pytest.fixture(scope="module")
def waveforms():
    random = np.random.default_rng(0)
    return [random.normal(0.01, 0.1, round(s * 16_000)).astype(np.float32) for s in SECONDS]


def test_scores_and_transcripts_are_torchs(checkpoint, exported, waveforms, tmp_path):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    features = [model.features(waveform) for waveform in waveforms]
    told = {"language": "de"} if checkpoint.name == "whisper" else {}
    with torch.no_grad():
        teacher = shrinkml.load(with_generation(checkpoint, tmp_path / "told", **told))
        forced = teacher.teacher_forced(features, TEXTS)[ATTENTION]
    inside = (forced.targets != IGNORE).numpy()
    fed = [row[row != IGNORE][:-1].tolist() for row in forced.targets.numpy()]
    assert np.abs(recogniser.logits(waveforms, fed) - forced.logits.numpy())[inside].max() < 1e-3
    transcripts = model.transcribe(features)
    assert len(set(transcripts)) > 1
    assert recogniser.transcribe(waveforms) == transcripts
    assert [recogniser.transcribe([waveform])[0] for waveform in waveforms] == transcripts


def test_the_readmes_script_hears_the_same_and_leaves_loops_alone(exported, waveforms, readmes_script, monkeypatch):
    monkeypatch.setattr(loops, "MOST_COMPRESSION", np.inf)
    (expected,) = OnnxRecogniser(exported).transcribe(waveforms[:1])
    assert readmes_script("decoder", exported, waveforms[0]) == expected != ""


def test_factors_are_two_plain_products_and_keys_and_values_of_the_encoder_made_once(checkpoint, exported):
    layers = [layer.name for layer in find_layers(shrinkml.load(checkpoint)) if "decoder.layers." in layer.name]
    once = [name for name in layers if re.search(r"encoder_attn\.[kv]_proj", name)]
    assert len(once) == 2
    graph = onnx.load(exported / "decoder.onnx").graph
    held = {output for node in graph.node if node.op_type == "Cast" for output in node.output}
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm") and set(node.input) & held]
    embedding_and_output = 3  # the table is read, its rows multiplied; the output is two products
    assert len(products) == 2 * (len(layers) - len(once)) + embedding_and_output


@pytest.mark.parametrize("checkpoint", ["whisper"], indirect=True)
def test_int8_scores_are_near(exporter, exported, waveforms, tmp_path):
    exporter.write(tmp_path / "int8", int8=True)
    fed = [[5, 6, 7]] * len(waveforms)
    before, after = (OnnxRecogniser(folder).logits(waveforms, fed) for folder in (exported, tmp_path / "int8"))
    assert np.abs(before - after).max() / np.abs(before).max() < 0.1
    wide, narrow = (front_end(folder) for folder in (exported, tmp_path / "int8"))
    assert wide.keys() == narrow.keys()
    assert all(np.array_equal(wide[name], narrow[name]) for name in wide)


def front_end(folder):
    """The constants of what comes before the network, the filters among them."""
    constants = onnx.load(folder / "encoder.onnx").graph.initializer
    found = {one.name: onnx.numpy_helper.to_array(one) for one in constants if one.name.startswith(FRONT)}
    assert max(value.size for value in found.values()) > 4000
    return found


@pytest.mark.parametrize("checkpoint", ["whisper"], indirect=True)
def test_silence_is_heard_as_torch_hears_it_and_what_is_too_long_refused(checkpoint, exported, readmes_script):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    silence = np.zeros(3_000, np.float32)
    assert recogniser.transcribe([silence]) == model.transcribe([model.features(silence)])
    assert "AssertionError: too long: cut it" in readmes_script("decoder", exported, np.zeros(32_001, np.float32))
    with pytest.raises(AudioError, match="a waveform of 32001 samples; allowed: 32000 or less"):
        recogniser.transcribe([np.zeros(32_001, np.float32)])


@pytest.mark.parametrize("checkpoint", ["whisper"], indirect=True)
@pytest.mark.parametrize("tail_s", [pytest.param(0.25, marks=pytest.mark.slow), 0.5])  # tracing takes long
def test_short_windows_are_torchs_for_each_utterance_whoever_shares_its_batch(checkpoint, tail_s, tmp_path, waveforms):
    model = shrinkml.load(checkpoint)
    model.window_tail_s = tail_s
    save(model, tmp_path / "short")
    export(tmp_path / "short", tmp_path / "onnx")
    exported, short = OnnxRecogniser(tmp_path / "onnx"), shrinkml.load(tmp_path / "short")
    assert short.window_tail_s == tail_s
    n_samples = [n + more for n in exported.recipe.windows for more in (0, 1) if n + more <= 32_000]
    assert len(n_samples) > 3
    windows = [short.inputs([short.features(np.zeros(n, np.float32))])["input_features"].shape[-1] for n in n_samples]
    assert windows[0] < windows[1] == windows[2] < windows[3] <= windows[-1] == 200  # each border where torch has it
    spoken = [*waveforms, *(waveforms[2][: n // 2] for n in (9_000, 9_010, 18_000))]
    transcripts = short.transcribe([short.features(waveform) for waveform in spoken])
    assert exported.transcribe(spoken) == transcripts
    assert [exported.transcribe([waveform])[0] for waveform in spoken] == transcripts
    told = shrinkml.load(with_generation(tmp_path / "short", tmp_path / "told", language="de"))
    features = [told.features(waveform) for waveform in waveforms]
    with torch.no_grad():
        head = told.teacher_forced(features, TEXTS)[ATTENTION]
        told.window_tail_s = None
        whole = told.teacher_forced(features, TEXTS)[ATTENTION]
    for found, expected in zip(exported.rows(waveforms, fed_to(head)), head.rows(), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    assert (whole.rows()[1] - head.rows()[1]).abs().max() > 0.01  # another window, other scores


@pytest.mark.parametrize("checkpoint", ["whisper"], indirect=True)
def test_nothing_is_written_where_nobody_speaks(checkpoint, exported, waveforms, monkeypatch):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    assert model.no_speech == recogniser.recipe.no_speech
    features = [model.features(waveform) for waveform in waveforms]
    assert all(model.transcribe(features))
    for module in (silence, silence_watch, recogniser_module):
        monkeypatch.setattr(module, "NO_SPEECH", -1.0)
    assert recogniser.transcribe(waveforms) == model.transcribe(features)
    monkeypatch.setattr(silence, "UNSURE", 0.0)
    assert recogniser.transcribe(waveforms) == model.transcribe(features) == [""] * len(waveforms)


@pytest.mark.parametrize("checkpoint", ["whisper"], indirect=True)
def test_a_loop_is_ended_after_its_first_round(checkpoint, exported, waveforms, monkeypatch):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    features = [model.features(waveform) for waveform in waveforms]
    ended = model.transcribe(features)
    monkeypatch.setattr(loops, "MOST_COMPRESSION", np.inf)
    alone = model.transcribe(features)
    assert alone == recogniser.transcribe(waveforms)
    assert all(other.startswith(one) for one, other in zip(ended, alone, strict=True))
    assert sum(map(len, ended)) < sum(map(len, alone))


@pytest.fixture
def model(stock_dir):
    return shrinkml.load(stock_dir("whisper"))


@pytest.mark.parametrize("said", ["türen auf", "電気をつけて", "👍"])
def test_letters_that_are_split_between_tokens_are_joined_again(model, said, tmp_path):
    ids = model.text.encode(said)
    assert len(ids) > len(said)
    vocabulary = model.text.pieces(model.network.config.vocab_size)
    Recipe(16_000, 1, vocabulary, end=model.end).write(tmp_path, {})
    assert read_recipe(tmp_path).text(ids) == model.text.decode(ids) == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("no_repeat_ngram_size", 1),
        ("min_new_tokens", 1),
        ("return_timestamps", True),
        ("forced_bos_token_id", 0),
        ("forced_eos_token_id", 1),
        ("repetition_penalty", 0),
    ],
)
def test_generation_that_no_recipe_can_tell_is_refused(model, name, value):
    setattr(model.network.generation_config, name, value)
    with pytest.raises(ExportError, match=f"sets {name}, which cannot be exported to ONNX; allowed: suppress_tokens"):
        suppressed(model, first=True)


def test_generation_that_is_told_to_change_nothing_is_exported(model):
    settings = {"no_repeat_ngram_size": 0, "min_length": 0, "repetition_penalty": 1.0, "return_timestamps": False}
    model.network.generation_config.update(**settings)
    assert suppressed(model, first=True) == ()
