"""The graphs of Transformers against torch, on models that learnt to say something."""

import numpy as np
import onnx
import pytest
import torch

import shrinkml
from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.full_quantization import fully_quantized
from shrinkml.compression.dropping.drop import drop
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import ExportError
from shrinkml.export.exporter import export
from shrinkml.export.graph import Storage
from shrinkml.export.integers.integer_products import float_products
from shrinkml.export.parity import fed
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import transcript_head
from shrinkml.models.tokenizer import END
from shrinkml.models.transformer.transformer_graph import UNUSED, draw, graphs, layers
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save
from tests.shrinkml.models.transducer.whistled import TEXTS, whistle
from tests.shrinkml.models.transformer.taught_whistles import KINDS, heard, taught


def low_rank(model):
    ranks = {layer.name: layer.break_even_rank for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))


@pytest.fixture(scope="module", params=[*KINDS, "low rank", "low rank, shared"])
def model(request):
    low = {"low rank": "memory", "low rank, shared": "shared"}
    return low_rank(taught(low[request.param])) if request.param in low else taught(request.param)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    save(model, folder / "model")
    export(folder / "model", folder / "onnx")
    return OnnxRecogniser(folder / "onnx")


@pytest.fixture(scope="module")
def waveforms():
    """Of unequal length, one of them a click."""
    return [*(whistle(text, seed=99) for text in TEXTS), whistle("red", seed=1)[:500]]


def test_transcripts_are_torchs(model, exported, waveforms):
    heard = model.transcribe([model.features(waveform) for waveform in waveforms])
    assert exported.transcribe(waveforms) == heard
    assert len(set(heard)) >= 4


@torch.no_grad()
def test_scores_are_torchs_token_by_token(model, exported, waveforms):
    head = transcript_head(model.teacher_forced([model.features(waveform) for waveform in waveforms], [*TEXTS, "on"]))
    for found, expected in zip(exported.rows(waveforms, fed(head)), head.rows(), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


@torch.no_grad()
def test_graphs_hold_nothing_of_feed_forward_blocks_that_were_dropped(waveforms, tmp_path):
    model = taught("memory")
    features = [model.features(waveform) for waveform in waveforms[:2]]
    branches = find_residual_branches(model, lambda: model.teacher_forced(features[:1], [TEXTS[0]]))
    assert {name.rpartition(".")[2] for name in branches} == {"feed_forward"}, "keys are made outside of attention"
    small = drop(model, CompressionPlan(dict(list(branches.items())[::2])))
    save(small, tmp_path / "model")
    export(tmp_path / "model", tmp_path / "onnx")
    head = transcript_head(small.teacher_forced(features, [TEXTS[0], TEXTS[1]]))
    rows = OnnxRecogniser(tmp_path / "onnx").rows(waveforms[:2], fed(head))
    for found, expected in zip(rows, head.rows(), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


def test_every_layer_is_in_one_graph_but_the_head_that_only_trains(model):
    found = layers(model)
    assert sorted([*found[ENCODER], *found[DECODER], UNUSED]) == sorted(layer.name for layer in find_layers(model))
    assert "decoder.layers.0.cross.key.weight" in found[ENCODER], "keys are made once for each utterance"
    assert "decoder.layers.0.cross.query.weight" in found[DECODER]
    assert draw(model).components["output"] == ("output.weight",)


def test_its_recipe_keeps_the_keys_and_values_of_each_layer(model):
    found = draw(model).recipe
    assert found.state == ("past.0", "past.1", "past.2", "past.3")
    assert (found.prompt, found.end, found.blank) == (((END,),), END, None)


def test_the_encoder_gives_out_all_that_the_decoder_takes(model):
    parts = graphs(model, Storage())
    given = {output.name for output in parts[ENCODER].graph.output}
    taken = {value.name for value in parts[DECODER].graph.input}
    assert given - {LIMIT} == taken - {"token"}
    state = draw(model).recipe.state
    assert [output.name for output in parts[DECODER].graph.output] == ["logits", *(f"next_{name}" for name in state)]


@pytest.mark.parametrize(
    "name", ["encoder.layers.0.feed_forward.inner.weight", "encoder.subsampling.convolutions.0.weight"]
)
def test_its_products_are_named_by_their_layers(model, name):
    names = {node.name for node in graphs(model, Storage())[ENCODER].graph.node}
    assert name in names or {f"{name}.up", f"{name}.down"} <= names


@pytest.fixture(scope="module")
def rounding(tmp_path_factory):
    """A fully quantized model, its checkpoint and its export."""
    model, speech = taught("memory"), heard(taught("memory"))
    small = fully_quantized(
        model, ActivationSpec(), decompose(model, "svd", {}), lambda it: it.teacher_forced(speech, TEXTS)
    )
    folder = tmp_path_factory.mktemp("rounding")
    save(small, folder / "model", dtype="float16")
    export(folder / "model", folder / "onnx")
    return folder


def test_of_a_fully_quantized_model_no_float_product_is_left_behind_the_spectrum(rounding):
    """The log-mel spectrum takes two: a Fourier transform and the mel filters."""
    for part, n_left in ((ENCODER, 2), (DECODER, 0)):
        model = onnx.load(rounding / "onnx" / f"{part}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert len(float_products(model.graph)) == n_left
        assert len([node for node in model.graph.node if node.op_type == "MatMul"]) > 5


@torch.no_grad()
def test_a_fully_quantized_model_says_in_onnx_runtime_what_it_says_in_torch(rounding):
    model, exported = shrinkml.load(rounding / "model"), OnnxRecogniser(rounding / "onnx")
    waveforms = [whistle(text, seed=0) for text in TEXTS]
    features = [model.features(waveform) for waveform in waveforms]
    head = transcript_head(model.teacher_forced(features, TEXTS))
    pairs = [*zip(exported.rows(waveforms, fed(head)), head.rows(), strict=True)]
    apart = np.mean([np.abs(found - expected.numpy()).mean() for found, expected in pairs])
    assert exported.transcribe(waveforms) == model.transcribe(features) == list(TEXTS)
    assert apart < 0.05, "sums in another order are sometimes rounded the other way"


def test_what_is_in_integers_is_not_exported_as_int8_again(rounding, tmp_path):
    with pytest.raises(ExportError, match="its products are in integers already"):
        export(rounding / "model", tmp_path / "int8", int8=True)
