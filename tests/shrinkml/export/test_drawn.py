"""Layers of a network that is traced, and of one that is drawn; a traced CTC model's, test_ctc_graph.py asks of."""

import shrinkml
from shrinkml.export.drawn import OUTPUT, draw
from shrinkml.export.recipe import DECODER, ENCODER


def test_each_layer_of_a_traced_network_lies_in_one_component(stock_dir):
    drawn = draw(shrinkml.load(stock_dir("whisper")))
    assert list(drawn.components) == [ENCODER, DECODER, OUTPUT]
    assert drawn.components[OUTPUT] == ("network.model.decoder.embed_tokens.weight",)
    assert len({*drawn.layers}) == len(drawn.layers)
    assert all(layer.startswith("network.") for layer in drawn.layers)


def test_the_layers_of_a_las_are_those_that_its_graphs_hold(tiny_model_dir):
    drawn = draw(shrinkml.load(tiny_model_dir))
    assert drawn.components[OUTPUT] == ("output.weight",)
    assert "key.weight" in drawn.components[ENCODER]
    assert "ctc.weight" not in drawn.layers
