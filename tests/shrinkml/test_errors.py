import inspect

import pytest

from shrinkml import errors
from shrinkml.errors import ShrinkError, UnknownNameError

CONCRETE = [error for _, error in inspect.getmembers(errors, inspect.isclass) if error is not ShrinkError]


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_every_error_is_ours_and_a_builtin(error):
    ours, builtin = error.__bases__
    assert ours is ShrinkError
    assert builtin.__module__ == "builtins"
    assert builtin is not Exception


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_every_error_says_its_message(error):
    assert str(error("no layer 'a'; known: b")) == "no layer 'a'; known: b"


def test_an_unknown_name_without_a_message_says_nothing():
    assert str(UnknownNameError()) == ""
