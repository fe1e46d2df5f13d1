import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.las.las_family import LAS, VOCABULARY
from shrinkml.models.las.las_operations import OPERATIONS


def test_it_is_recognised_by_the_family_that_its_checkpoints_state():
    assert LAS.recognises({"format": "shrinkml/1", "family": "las"})
    assert not LAS.recognises({"format": "shrinkml/1", "family": "huggingface", "model": {"model_type": "las"}})
    assert not LAS.recognises({"model_type": "las"})


def test_its_checkpoints_hold_a_vocabulary():
    assert LAS.files == ("config.json", VOCABULARY)


def test_it_does_not_learn_in_bfloat16():
    with pytest.raises(
        ConfigError, match="mixed_precision is true; allowed for a LAS: false, its LSTM kernel computes"
    ):
        LAS.check_mixed_precision("mixed_precision")


def test_its_operations_are_those_of_its_folder():
    assert LAS.operations() is OPERATIONS
