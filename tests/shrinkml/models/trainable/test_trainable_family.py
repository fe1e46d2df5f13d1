import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.family import Operations
from shrinkml.models.trainable.trainable_family import VOCABULARY, trainable_family


def no_operations() -> Operations:
    raise AssertionError("nobody asked")


FAMILY = trainable_family("rnnt", no_operations, lstms_of="an RNN-T")


def test_it_is_recognised_by_the_family_that_its_checkpoints_state():
    assert FAMILY.recognises({"format": "shrinkml/1", "family": "rnnt"})
    assert not FAMILY.recognises({"format": "shrinkml/1", "family": "huggingface", "model": {"model_type": "rnnt"}})
    assert not FAMILY.recognises({"model_type": "rnnt"})


def test_its_checkpoints_hold_a_vocabulary():
    assert FAMILY.files == ("config.json", VOCABULARY)


def test_it_does_not_learn_in_bfloat16():
    with pytest.raises(ConfigError, match="mixed_precision is true; allowed for an RNN-T: false, its LSTM kernel"):
        FAMILY.check_mixed_precision("mixed_precision")


def test_a_family_without_lstms_learns_in_bfloat16():
    trainable_family("attention", no_operations).check_mixed_precision("mixed_precision")
