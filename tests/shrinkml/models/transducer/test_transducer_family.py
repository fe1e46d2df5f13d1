import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.transducer.transducer_family import TRANSDUCER, VOCABULARY
from shrinkml.models.transducer.transducer_operations import OPERATIONS


def test_it_is_recognised_by_the_family_that_its_checkpoints_state():
    assert TRANSDUCER.recognises({"format": "shrinkml/1", "family": "transducer"})
    assert not TRANSDUCER.recognises({"format": "shrinkml/1", "family": "las"})
    assert not TRANSDUCER.recognises({"model_type": "transducer"})


def test_its_checkpoints_hold_a_vocabulary():
    assert TRANSDUCER.files == ("config.json", VOCABULARY)


def test_it_does_not_learn_in_bfloat16():
    with pytest.raises(ConfigError, match="mixed_precision is true; allowed for a transducer: false, its LSTM kernel"):
        TRANSDUCER.check_mixed_precision("mixed_precision")


def test_its_operations_are_those_of_its_folder():
    assert TRANSDUCER.operations() is OPERATIONS
