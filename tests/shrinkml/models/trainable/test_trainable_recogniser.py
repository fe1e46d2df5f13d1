import pytest

from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.protocol import AsrModel
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.models.transformer.transformer_shape import TransformerConfig

TOKENIZER = Tokenizer.from_texts(["on off"], "word")
MODELS = {
    "las": Las(LasConfig(sample_rate_hz=8000, n_mels=8, hidden=4, decoder=4, embedding=4), TOKENIZER),
    "transducer": Transducer(TransducerConfig(sample_rate_hz=8000, n_mels=8, hidden=4, decoder=4, joint=4), TOKENIZER),
    "transformer": Transformer(TransformerConfig(sample_rate_hz=8000, n_mels=8, hidden=4, encoder_layers=1), TOKENIZER),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_a_recogniser_of_its_family_and_its_own_module(name):
    model = MODELS[name]
    assert isinstance(model, AsrModel)
    assert model.family == name
    assert model.module is model
    assert model.sample_rate_hz == 8000
    assert model.longest_s is None


@pytest.mark.parametrize("name", MODELS)
def test_it_writes_every_text_and_counts_the_words_that_it_does_not_know(name):
    model = MODELS[name]
    assert model.misfit("never heard") is None
    assert model.spelling("on never off") == TOKENIZER.spelling("on never off")
    assert model.spelling("on never off").n_unknown == 1
