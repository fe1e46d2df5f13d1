import pytest

from shrinkml.errors import ShrinkError, UnknownNameError
from shrinkml.tables import look_up


def test_a_known_name_gives_its_entry():
    assert look_up({"svd": 1, "whitened": 2}, "whitened", kind="factorizer") == 2


def test_an_unknown_name_lists_the_known_ones_and_the_closest():
    with pytest.raises(
        UnknownNameError, match=r"no factorizer named 'svt'; known: svd, whitened\. Did you mean 'svd'\?"
    ):
        look_up({"svd": 1, "whitened": 2}, "svt", kind="factorizer")


def test_an_unknown_name_far_from_all_gets_no_guess():
    with pytest.raises(KeyError) as caught:
        look_up({"svd": 1}, "zebra", kind="factorizer")
    assert isinstance(caught.value, ShrinkError)
    assert str(caught.value) == "no factorizer named 'zebra'; known: svd."
