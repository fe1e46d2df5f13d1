import pytest

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.models.huggingface.onnx.generation import UNTOLD, suppressed


@pytest.fixture
def model(stock_dir):
    return shrinkml.load(stock_dir("whisper"))


def test_suppressed_tokens_are_read_from_the_generation(model):
    config = model.network.generation_config
    config.suppress_tokens, config.begin_suppress_tokens = [3, 5], [7]
    assert suppressed(model, first=False) == (3, 5)
    assert suppressed(model, first=True) == (7,)


def test_without_any_none_are(model):
    assert suppressed(model, first=False) == suppressed(model, first=True) == ()


@pytest.mark.parametrize("name", UNTOLD)
def test_what_changes_nothing_is_allowed(model, name):
    for nothing in (None, UNTOLD[name]):
        setattr(model.network.generation_config, name, nothing)
        assert suppressed(model, first=False) == ()


def test_what_changes_scores_is_refused_by_name(model):
    model.network.generation_config.repetition_penalty = 1.2
    model.network.generation_config.min_length = 5
    message = r"generation_config\.json sets min_length, repetition_penalty, which cannot be exported to ONNX; allowed"
    with pytest.raises(ExportError, match=message):
        suppressed(model, first=False)
