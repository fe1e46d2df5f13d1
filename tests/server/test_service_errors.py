import inspect

import pytest

from server import service_errors
from server.service_errors import RangeError
from shrinkml.errors import ShrinkError

KINDS = [kind for _, kind in inspect.getmembers(service_errors, inspect.isclass) if kind is not ShrinkError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_of_ours_and_one_of_pythons(kind):
    assert issubclass(kind, ShrinkError)
    assert kind.__mro__[2:3] != (Exception,), "a builtin that those who do not know us can catch"


def test_a_range_error_carries_the_size():
    error = RangeError("bytes=9- lies outside", 5)
    assert (str(error), error.size) == ("bytes=9- lies outside", 5)
