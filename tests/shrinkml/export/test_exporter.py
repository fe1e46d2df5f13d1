"""The oracle is the torch path: kaldi-native-fbank's features and the checkpoint as `shrinkml.load` opens it."""

import numpy as np
import onnx
import pytest
import torch

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers, model_cost
from shrinkml.errors import AudioError, CheckpointError, ExportError
from shrinkml.export.exporter import export
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import ATTENTION, IGNORE
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save, stored_parameters
from tests.cut_units import ReadyToCut


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(checkpoint, folder)
    return folder


def batches(spoken, size=10):
    return (list(zip(*spoken[start : start + size], strict=True)) for start in range(0, len(spoken), size))


def test_logits_and_transcripts_are_torchs_on_a_hundred_utterances(checkpoint, exported, spoken):
    model, recogniser = shrinkml.load(checkpoint), OnnxRecogniser(exported)
    said = 0
    for waveforms, texts in batches(spoken):
        features = [model.features(waveform) for waveform in waveforms]
        with torch.no_grad():
            forced = model.teacher_forced(features, texts)[ATTENTION]
        logits = recogniser.logits(waveforms, [model.tokenizer.encode(text) for text in texts])
        inside = (forced.targets != IGNORE).numpy()
        assert np.abs(logits - forced.logits.numpy())[inside].max() < 1e-3
        transcripts = recogniser.transcribe(waveforms)
        assert transcripts == model.transcribe(features)
        said += sum(map(bool, transcripts))
    assert said > 90  # an empty transcript proves little


def test_few_bits_and_zeros_are_written_out(tiny_model_dir, spoken, tmp_path):
    ways = Choice(bits=5, sparsity=0.5), Choice(bits=6), Choice(sparsity=0.5), Choice(rank=4, bits=8, sparsity=0.5)
    model = shrinkml.load(tiny_model_dir)
    plan = CompressionPlan({layer.name: ways[i % 4] for i, layer in enumerate(find_layers(model))})
    save(factorize(model, plan, decompose(model)), tmp_path / "small")
    export(tmp_path / "small", tmp_path / "onnx")
    small, recogniser = shrinkml.load(tmp_path / "small"), OnnxRecogniser(tmp_path / "onnx")
    waveforms, texts = zip(*spoken[:8], strict=True)
    with torch.no_grad():
        forced = small.teacher_forced([small.features(waveform) for waveform in waveforms], texts)[ATTENTION]
    logits = recogniser.logits(waveforms, [small.tokenizer.encode(text) for text in texts])
    assert np.abs(logits - forced.logits.numpy())[(forced.targets != IGNORE).numpy()].max() < 1e-3


def test_a_model_with_fewer_recurrent_units_is_stored_opened_and_exported_as_it_is(tiny_model_dir, spoken, tmp_path):
    model, (waveforms, texts) = shrinkml.load(tiny_model_dir), zip(*spoken, strict=True)
    heard = [model.features(waveform) for waveform in waveforms]
    ready = ReadyToCut(model, lambda: model.teacher_forced(heard[:32], texts[:32]))
    assert {*ready.units} == {"encoder.0.weight_ih_l0", "encoder.0.weight_ih_l0_reverse", "cell.weight_ih"}
    left = dict(zip(ready.units, (20, 24, 24), strict=True))
    plan = ready.plan(left, {"readout.weight": Choice(rank=12), "cell.weight_ih": Choice(bits=8)})
    small = factorize(model, plan, ready.decompositions)
    save(small, tmp_path / "small")
    export(tmp_path / "small", tmp_path / "onnx")
    opened, recogniser = shrinkml.load(tmp_path / "small"), OnnxRecogniser(tmp_path / "onnx")
    assert stored_parameters(tmp_path / "small") == model_cost(model, pairs=ready.pairs).cost(plan).parameters
    transcripts = small.transcribe(heard)
    assert opened.transcribe(heard) == transcripts == recogniser.transcribe(waveforms)
    assert sum(map(bool, transcripts)) > 90


def test_a_transcript_does_not_depend_on_its_batch(exported, spoken):
    recogniser = OnnxRecogniser(exported)
    waveforms = [waveform for waveform, _ in spoken[-8:]]
    assert recogniser.transcribe(waveforms) == [recogniser.transcribe([waveform])[0] for waveform in waveforms]


@pytest.mark.parametrize("n_samples", [400, 1000, 1700], ids="{} samples".format)
@pytest.mark.parametrize("loudness", [0.0, 0.1])
def test_clicks_and_silence_are_heard_as_torch_hears_them(tiny_model_dir, tmp_path, n_samples, loudness):
    export(tiny_model_dir, tmp_path / "onnx")
    model, recogniser = shrinkml.load(tiny_model_dir), OnnxRecogniser(tmp_path / "onnx")
    click = np.random.default_rng(0).normal(0.01, loudness, n_samples).astype(np.float32)
    with torch.no_grad():
        forced = model.teacher_forced([model.features(click)], ["open door"])[ATTENTION]
    logits = recogniser.logits([click], [model.tokenizer.encode("open door")])
    np.testing.assert_allclose(logits, forced.logits.numpy(), atol=1e-3)


def test_a_factorized_matrix_is_two_plain_products(tiny_model_dir, checkpoint, exported):
    nodes = {node.name: node.op_type for node in onnx.load(exported / "decoder.onnx").graph.node if node.name}
    if checkpoint == tiny_model_dir:
        assert nodes["readout.weight"] == "MatMul"
    else:
        assert nodes["cell.weight_hh.down"] == nodes["cell.weight_hh.up"] == "MatMul"


def test_half_precision_weights_stay_half_in_the_file(checkpoint, exported):
    stored = (checkpoint / "model.safetensors").stat().st_size
    assert sum(path.stat().st_size for path in exported.iterdir()) < stored + 60_000  # nodes and vocabulary


def test_a_waveform_shorter_than_a_frame_is_refused(exported):
    with pytest.raises(AudioError, match="a waveform of 399 samples; allowed: 400 or more"):
        OnnxRecogniser(exported).transcribe([np.zeros(399, np.float32)])


def test_what_is_no_checkpoint_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        export(tmp_path / "empty", tmp_path / "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_an_export_is_replaced_but_nothing_else_is(tiny_model_dir, tmp_path):
    export(tiny_model_dir, tmp_path / "onnx")
    export(tiny_model_dir, tmp_path / "onnx")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="is there and holds what ShrinkML did not write"):
        export(tiny_model_dir, tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no exported recogniser"),
        ("{", "is no exported recogniser"),
        ('{"format": "shrinkml-onnx/3"}', "format 'shrinkml-onnx/3'; .* export the checkpoint again"),
        ('{"format": "shrinkml-onnx/4"}', "KeyError"),
    ],
)
def test_a_folder_that_was_not_exported_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "recogniser.json").write_text(content)
    with pytest.raises(ExportError, match=message):
        OnnxRecogniser(tmp_path)
