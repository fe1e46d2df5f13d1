import pytest
import torch

from shrinkml.compression.finite import all_finite


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_number_that_is_none_is_found(value):
    numbers = torch.ones(3, 4)
    assert all_finite(numbers)
    numbers[1, 2] = value
    assert not all_finite(numbers)


def test_integers_are_finite():
    assert all_finite(torch.tensor([-128, 127], dtype=torch.int8))
