"""Layers of a network that is traced, and of one that is drawn; a traced CTC model's, test_ctc_graph.py asks of."""

import os

import shrinkml
from shrinkml.export.drawn import OUTPUT, draw
from shrinkml.export.graph import Storage
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


def test_a_graph_that_is_as_it_was_is_not_written_again(stock_dir, tmp_path):
    """The files after any sequence of storages are those of the last, and an encoder in float stays the same file."""
    drawn, written = draw(shrinkml.load(stock_dir("whisper"))), {}
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    every, of_encoder = frozenset(drawn.layers), frozenset(drawn.components[ENCODER])
    encoder, places = together / f"{ENCODER}.onnx", []
    for kept in (every, every - of_encoder, every - of_encoder, every - {drawn.components[DECODER][0]}, frozenset()):
        drawn.write_graphs(together, Storage(half=True, int8=True, kept=kept), written)
        places.append(encoder.stat().st_mtime_ns)
        drawn.write_graphs(alone, Storage(half=True, int8=True, kept=kept))
        assert all((alone / one).read_bytes() == (together / one).read_bytes() for one in os.listdir(alone))
    assert places[1] == places[2]
    assert len({*places}) == len(places) - 1
