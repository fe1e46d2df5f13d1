from shrinkml.models.transducer.transducer_family import TRANSDUCER
from shrinkml.models.transducer.transducer_operations import OPERATIONS


def test_its_checkpoints_and_recipes_say_its_name():
    assert (TRANSDUCER.name, TRANSDUCER.fresh_kinds) == ("transducer", ("transducer",))
    assert "a transducer: false" in TRANSDUCER.float32_only


def test_its_operations_are_those_of_its_folder():
    assert TRANSDUCER.operations() is OPERATIONS
