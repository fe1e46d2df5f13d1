"""The graphs of transducers against torch, on models that learnt to say something."""

import numpy as np
import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.export.exporter import export
from shrinkml.export.graph import Storage
from shrinkml.export.parity import fed
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import transcript_head
from shrinkml.models.tokenizer import BLANK, END
from shrinkml.models.transducer.transducer_graph import PLACE, draw, graphs, layers
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save
from tests.cut_units import ReadyToCut
from tests.shrinkml.models.transducer.whistled import TEXTS, whistle, whistler


def low_rank(model):
    ranks = {layer.name: max(1, layer.break_even_rank * 2 // 3) for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))


def narrow(model):
    """Without a quarter of the units of each layer whose outputs are multiplied alone."""
    heard = [model.features(whistle(text, seed=0)) for text in TEXTS]
    ready = ReadyToCut(model, lambda: model.teacher_forced(heard, TEXTS))
    assert {"causal", "prediction"} == {name.partition(".")[0] for name in ready.units}
    plan = ready.plan({name: n - n // 4 for name, n in ready.units.items()})
    return factorize(model, plan, ready.decompositions)


@pytest.fixture(scope="module", params=["lstm", "tied", "low rank", "one narrow pass"])
def model(request):
    return {
        "lstm": whistler,
        "tied": lambda: whistler(prediction="tied"),
        "low rank": lambda: low_rank(whistler(prediction="tied")),
        "one narrow pass": lambda: narrow(whistler().first_pass()),
    }[request.param]()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    save(model, folder / "model")
    export(folder / "model", folder / "onnx")
    return OnnxRecogniser(folder / "onnx")


@pytest.fixture(scope="module")
def waveforms():
    """Of unequal length."""
    return [whistle(text, seed=99) for text in TEXTS]


def test_transcripts_are_torchs(model, exported, waveforms):
    heard = model.transcribe([model.features(waveform) for waveform in waveforms])
    assert exported.transcribe(waveforms) == heard
    assert len(set(heard)) >= 4


@torch.no_grad()
def test_the_posteriors_of_each_next_label_are_torchs(model, exported, waveforms):
    head = transcript_head(model.teacher_forced([model.features(waveform) for waveform in waveforms], TEXTS))
    for found, expected in zip(exported.rows(waveforms, fed(head)), head.rows(), strict=True):
        inside = expected.numpy() > -15  # beyond, float32 sums differ by their order
        np.testing.assert_allclose(found[inside], expected.numpy()[inside], atol=2e-3)


def test_every_layer_is_in_one_graph(model):
    found = layers(model)
    assert sorted([*found[ENCODER], *found[DECODER]]) == sorted(layer.name for layer in find_layers(model))
    assert "encoded.weight" in found[ENCODER], "what an encoder heard is made ready once"
    assert draw(model).components["output"] == ("output.weight",)


def test_the_encoder_gives_out_all_that_the_decoder_takes(model):
    parts = graphs(model, Storage())
    given = {output.name for output in parts[ENCODER].graph.output}
    taken = {value.name for value in parts[DECODER].graph.input}
    assert given - {LIMIT} == taken - {"token"}
    state = draw(model).recipe.state
    assert [output.name for output in parts[DECODER].graph.output] == ["logits", *(f"next_{name}" for name in state)]
    assert state[-2:] == PLACE


def test_the_recipe_starts_at_the_first_step_and_writes_no_blank(model):
    found = draw(model).recipe
    assert found.prompt == ((END,),)
    assert found.blank == BLANK
    assert found.text([BLANK, 4, BLANK, 3, END, 4]) == "green blue"
