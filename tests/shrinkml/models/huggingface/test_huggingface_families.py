import pytest
from transformers.models.auto import modeling_auto

from shrinkml.models.huggingface.huggingface_families import (
    CTC_TYPES,
    HUGGINGFACE_CTC,
    HUGGINGFACE_SEQ2SEQ,
    is_huggingface,
    model_type,
)
from shrinkml.models.huggingface.huggingface_operations import CTC_OPERATIONS, SEQ2SEQ_OPERATIONS


def of_ours(kind):
    return {"format": "shrinkml/1", "family": "huggingface", "model": {"model_type": kind}}


def test_the_types_of_ctc_models_are_those_that_transformers_opens():
    assert set(modeling_auto.MODEL_FOR_CTC_MAPPING_NAMES) == CTC_TYPES


@pytest.mark.parametrize("written", [of_ours, lambda kind: {"model_type": kind}], ids=["ours", "of transformers"])
@pytest.mark.parametrize("kind", ["wav2vec2", "whisper", "bert"])
def test_a_model_is_of_exactly_one_family(kind, written):
    config = written(kind)
    assert is_huggingface(config)
    assert model_type(config) == kind
    assert HUGGINGFACE_CTC.recognises(config) == (kind == "wav2vec2")
    assert HUGGINGFACE_SEQ2SEQ.recognises(config) == (kind != "wav2vec2")


@pytest.mark.parametrize("config", [{}, {"format": "shrinkml/1", "family": "las", "model_type": "whisper"}])
def test_other_models_are_of_neither(config):
    assert not is_huggingface(config)
    assert not HUGGINGFACE_CTC.recognises(config)
    assert not HUGGINGFACE_SEQ2SEQ.recognises(config)


def test_a_checkpoint_without_a_network_has_no_type():
    assert model_type({"format": "shrinkml/1", "family": "huggingface"}) is None
    assert model_type({"format": "shrinkml/1", "family": "huggingface", "model": 3}) is None


def test_a_whisper_alone_is_told_a_language():
    told = {"language": "de", "task": "transcribe"}
    assert HUGGINGFACE_SEQ2SEQ.language_settings({"model_type": "whisper"}, "de") == told
    assert HUGGINGFACE_SEQ2SEQ.language_settings({"model_type": "moonshine"}, "de") is None
    assert HUGGINGFACE_SEQ2SEQ.language_settings(of_ours("whisper"), "de") is None
    assert HUGGINGFACE_CTC.language_settings({"model_type": "wav2vec2"}, "de") is None


def test_their_operations_are_those_of_their_folder():
    assert HUGGINGFACE_CTC.operations() is CTC_OPERATIONS
    assert HUGGINGFACE_SEQ2SEQ.operations() is SEQ2SEQ_OPERATIONS
