import pytest

import shrinkml
from shrinkml.export.drawn import draw

SCORING = {"whisper": "network.model.decoder.embed_tokens.weight", "parakeet_ctc": "network.ctc_head.weight"}


@pytest.mark.parametrize("kind", SCORING)
def test_each_layer_of_a_traced_network_lies_in_one_component(stock_dir, kind):
    drawn = draw(shrinkml.load(stock_dir(kind)))
    assert drawn.components["output"] == (SCORING[kind],)
    assert len({*drawn.layers}) == len(drawn.layers)
    assert all(layer.startswith("network.") for layer in drawn.layers)


def test_the_layers_of_a_las_are_those_that_its_graphs_hold(tiny_model_dir):
    drawn = draw(shrinkml.load(tiny_model_dir))
    assert drawn.components["output"] == ("output.weight",)
    assert "key.weight" in drawn.components["encoder"]
    assert "ctc.weight" not in drawn.layers
