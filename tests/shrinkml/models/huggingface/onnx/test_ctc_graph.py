"""CTC models of transformers, traced, against torch; random weights, low rank, utterances of unequal length."""

import numpy as np
import onnx
import pytest
import torch

import shrinkml
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.errors import ExportError
from shrinkml.export.drawn import OUTPUT
from shrinkml.export.exporter import Exporter, export
from shrinkml.export.recipe import ENCODER
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import CTC
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save
from tests.stock_models import PARTS

SECONDS = (1.3, 0.4, 2.05)


def stock(kind, folder):
    torch.manual_seed(0)
    for part in PARTS[kind](folder):
        part.save_pretrained(folder / "stock")
    return folder / "stock"


def letters(folder):
    """A Wav2Vec2 whose tokens are letters."""
    return shrinkml.load(stock("wav2vec2", folder))


def relative(folder):
    """A WavLM: its attention knows how far frames are apart."""
    return shrinkml.load(stock("wavlm", folder))


def alone(folder):
    """A Wav2Vec2-Conformer: utterances of unequal length cannot be run together."""
    return shrinkml.load(stock("wav2vec2-conformer", folder))


def words(_):
    """A Parakeet whose tokens are words."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    return fresh("parakeet_ctc", {**shape, "num_mel_bins": 16, "subsampling_conv_channels": 8}, ["a red door"], 0)


SLOW = [pytest.param(make, marks=pytest.mark.slow) for make in (relative, alone)]  # tracing takes long


@pytest.fixture(scope="module", params=[letters, *SLOW, words], ids=lambda make: make.__name__)
def checkpoint(request, tmp_path_factory):
    """Half of its break-even ranks, random factors, so that the labels vary."""
    folder = tmp_path_factory.mktemp("ctc")
    model = request.param(folder)
    plan = CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})
    small = reshape(model, plan)
    for parameter in (p for p in small.parameters() if p.dim() > 1):
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    save(small, folder / "small", dtype="float16")
    return folder / "small"


@pytest.fixture(scope="module")
def exporter(checkpoint):
    return Exporter(checkpoint)


@pytest.fixture(scope="module")
def exported(checkpoint, exporter):
    exporter.write(checkpoint.with_name("onnx"))
    return checkpoint.with_name("onnx")


@pytest.fixture(scope="module")
def waveforms():
    random = np.random.default_rng(0)
    return [random.normal(0.01, 0.1, round(s * 16_000)).astype(np.float32) for s in SECONDS]


def test_scores_and_transcripts_are_torchs(checkpoint, exported, waveforms):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    features = [model.features(waveform) for waveform in waveforms]
    with torch.no_grad():
        forced = model.teacher_forced(features, ["A"] * len(features))[CTC]
    for row, scores in enumerate(recogniser.frames(waveforms)):
        expected = forced.logits[row, : forced.frame_counts[row]].numpy()
        np.testing.assert_allclose(scores, expected, atol=1e-3)
    transcripts = model.transcribe(features)
    assert any(transcripts)
    assert recogniser.transcribe(waveforms) == transcripts
    assert [recogniser.transcribe([waveform])[0] for waveform in waveforms] == transcripts


def test_the_readmes_other_script_hears_the_same(checkpoint, exported, waveforms, readmes_script):
    model = shrinkml.load(checkpoint)
    (expected,) = model.transcribe([model.features(waveforms[0])])
    assert readmes_script("itertools", exported, waveforms[0]) == expected


def test_factors_are_two_plain_products(checkpoint, exported):
    nodes = onnx.load(exported / "encoder.onnx").graph.node
    n_layers = sum(layer.kind == "linear" for layer in find_layers(shrinkml.load(checkpoint)))
    assert sum(node.op_type in ("MatMul", "Gemm", "Conv") for node in nodes) >= 2 * n_layers


@pytest.mark.parametrize("checkpoint", [words], indirect=True, ids=["words"])
def test_each_layer_lies_in_one_component(checkpoint, exporter):
    drawn = exporter.drawn
    assert list(drawn.components) == [ENCODER, OUTPUT]
    assert drawn.components[OUTPUT] == ("network.ctc_head.weight",)
    assert len({*drawn.layers}) == len(drawn.layers)
    assert all(layer.startswith("network.") for layer in drawn.layers)


@pytest.mark.parametrize("checkpoint", [letters], indirect=True, ids=["letters"])
def test_int8_scores_are_near(exporter, exported, waveforms, tmp_path):
    exporter.write(tmp_path / "int8", int8=True)
    pairs = zip(
        OnnxRecogniser(exported).frames(waveforms), OnnxRecogniser(tmp_path / "int8").frames(waveforms), strict=True
    )
    assert max(np.abs(before - after).max() / np.abs(before).max() for before, after in pairs) < 0.1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wav2vec2-bert", "what a SeamlessM4TFeatureExtractor does cannot be exported to ONNX; allowed: Wav2Vec2"),
        ("speech-encoder-decoder", "a speech-encoder-decoder network cannot be exported to ONNX; allowed: whisper"),
    ],
)
def test_what_cannot_be_exported_is_refused(kind, message, stock_dir, tmp_path):
    with pytest.raises(ExportError, match=message):
        export(stock_dir(kind), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
