from shrinkml.models.las.las_family import LAS
from shrinkml.models.las.las_operations import OPERATIONS


def test_its_checkpoints_and_recipes_say_its_name():
    assert (LAS.name, LAS.fresh_kinds) == ("las", ("las",))
    assert "a LAS: false" in LAS.float32_only


def test_its_operations_are_those_of_its_folder():
    assert LAS.operations() is OPERATIONS
