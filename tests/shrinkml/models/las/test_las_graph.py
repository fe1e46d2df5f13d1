"""The graphs of a LAS, piece by piece; test_exporter.py compares what they hear with torch."""

import pytest
import torch

from shrinkml.compression.sites import find_layers
from shrinkml.export.graph import Storage
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.las.las_graph import STATE, UNUSED, draw, graphs, layers
from shrinkml.models.tokenizer import END, Tokenizer

SHAPE = LasConfig(n_mels=8, stack=2, hidden=12, decoder=10, embedding=6, reductions=(1, 2))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Las(SHAPE, Tokenizer.from_texts(["on off"], "word")).eval()


def test_every_layer_is_in_one_graph_but_the_head_that_only_trains(model):
    found = layers(model)
    assert list(found) == [ENCODER, DECODER]
    assert sorted([*found[ENCODER], *found[DECODER], UNUSED]) == sorted(layer.name for layer in find_layers(model))
    assert "key.weight" in found[ENCODER], "keys are made once for each utterance"


def test_the_encoder_gives_out_all_that_the_decoder_takes(model):
    parts = graphs(model, Storage())
    given = {output.name for output in parts[ENCODER].graph.output}
    taken = {value.name for value in parts[DECODER].graph.input}
    assert given - {LIMIT} == taken - {"token"}
    assert {*STATE} < taken
    assert [output.name for output in parts[DECODER].graph.output] == ["logits", *(f"next_{name}" for name in STATE)]


def test_its_recipe_writes_words(model):
    found = draw(model).recipe
    assert found.state == STATE
    assert found.blank is None
    assert found.text([4, 3, END, 4]) == "on off"


def test_the_layer_that_makes_the_scores_is_a_component_of_its_own(model):
    components = draw(model).components
    assert components["output"] == ("output.weight",)
    assert "output.weight" not in components[DECODER]
