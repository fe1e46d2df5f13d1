from shrinkml.models.transformer.transformer_family import TRANSFORMER
from shrinkml.models.transformer.transformer_operations import OPERATIONS


def test_its_checkpoints_and_recipes_say_its_name():
    assert (TRANSFORMER.name, TRANSFORMER.fresh_kinds) == ("transformer", ("transformer",))


def test_it_learns_in_bfloat16_as_it_has_no_lstms():
    assert TRANSFORMER.float32_only is None


def test_its_operations_are_those_of_its_folder():
    assert TRANSFORMER.operations() is OPERATIONS
