from shrinkml.export.drawn import OUTPUT
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.las.las_operations import LAS_MODELS, draw
from shrinkml.models.tokenizer import Tokenizer


def test_its_graphs_are_an_encoder_and_a_decoder():
    shape = LasConfig(n_mels=8, stack=2, hidden=12, decoder=10, embedding=6)
    model = LAS_MODELS.seeded(shape, Tokenizer.from_texts(["on off"], "word"), 0).eval()
    assert isinstance(model, Las)
    components = draw(model).components
    assert list(components) == [ENCODER, DECODER, OUTPUT]
    assert components[OUTPUT] == ("output.weight",)
