import pytest
import torch

from shrinkml.activations.activation_spec import BITS, ActivationSpec
from shrinkml.activations.grid import MULTIPLIER_BITS, SCALINGS, grid_between

RANGES = [(-1.5, 2.5), (0.0, 3.7), (-0.02, 0.0), (0.5, 2.0), (-300.0, 7.0)]


def grid(low, high, bits=8, scales="float"):
    return grid_between(torch.tensor(low), torch.tensor(high), ActivationSpec(bits, scales))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_numbers_are_the_rules(low, high, bits):
    """Q(x) = round((clamp(x; min, max) - min) / s), with 0 in the range and min at a multiple of s."""
    found = grid(low, high, bits)
    x = low - 1 + (high - low + 2) * torch.rand(300, generator=torch.Generator().manual_seed(0))
    least = -int(found.zero) * float(found.scale)
    numbers = ((x.clamp(least, least + found.largest * float(found.scale)) - least) / found.scale).round()
    expected = least + numbers * found.scale
    torch.testing.assert_close(found.rounded(x), expected, atol=1e-3 * float(found.scale), rtol=1e-5)
    assert abs(least - min(low, 0.0)) <= found.scale / 2 + 1e-6


@pytest.mark.parametrize("scales", SCALINGS)
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_zero_stays_zero_and_what_is_rounded_stays_so(low, high, scales):
    found = grid(low, high, 8, scales)
    assert found.rounded(torch.zeros(1)) == 0
    once = found.rounded(torch.linspace(low, high, 301))
    assert torch.equal(found.rounded(once), once)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_the_gradient_goes_straight_through_and_is_zero_where_clamped(low, high):
    found = grid(low, high)
    inside = torch.linspace(min(low, 0.0), max(high, 0.0), 21)
    x = torch.cat((inside, torch.tensor([low - 5, high + 5]))).requires_grad_()
    found.rounded(x).sum().backward()
    assert x.grad.tolist() == [1.0] * 21 + [0.0, 0.0]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_a_scale_of_hardware_is_the_next_that_fits(low, high):
    free, power, product = (float(grid(low, high, 8, kind).scale) for kind in ("float", "power_of_two", "multiplier"))
    assert torch.tensor(power).log2() % 1 == 0
    assert free * (1 - 1e-6) <= power < 2 * free
    mantissa, _ = torch.frexp(torch.tensor(product))
    assert mantissa * 2**MULTIPLIER_BITS % 1 == 0
    assert free * (1 - 1e-6) <= product <= free * (1 + 2 ** (1 - MULTIPLIER_BITS))


def test_a_range_of_nothing_is_no_division_by_zero():
    assert torch.equal(grid(0.0, 0.0).rounded(torch.zeros(3)), torch.zeros(3))


def test_each_row_has_a_grid_of_its_own():
    rows = torch.tensor([[-1.0, 0.3, 2.0], [0.0, 50.0, 99.0]])
    spec = ActivationSpec(6)
    found = grid_between(rows.amin(1), rows.amax(1), spec).rounded(rows)
    alone = [grid_between(row.min(), row.max(), spec).rounded(row) for row in rows]
    torch.testing.assert_close(found, torch.stack(alone))
