import pytest

from shrinkml.export.drawn import OUTPUT
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.models.family import FreshModel
from shrinkml.models.transducer.transducer_operations import OPERATIONS
from shrinkml.models.transducer.transducer_stream import TransducerStream

SHAPE = {"n_mels": 8, "stack": 2, "hidden": 12, "look_ahead": 6, "decoder": 10, "embedding": 6, "joint": 8}


@pytest.mark.parametrize("prediction", ["lstm", "tied"])
def test_its_graphs_are_an_encoder_and_a_decoder(prediction):
    wanted = FreshModel("transducer", {**SHAPE, "prediction": prediction}, ["on off"], "word", seed=3)
    components = OPERATIONS.draw(OPERATIONS.fresh(wanted).module.eval()).components
    assert list(components) == [ENCODER, DECODER, OUTPUT]
    assert components[OUTPUT] == ("output.weight",)


def test_it_streams():
    assert OPERATIONS.stream is TransducerStream
