import pytest
import torch

from shrinkml.plan.layout import GROUP, ROUNDED_BITS
from shrinkml.weights.rounding import (
    best_scales,
    empty_scales,
    from_whole_numbers,
    largest_number,
    nearest_plane,
    packed,
    rounded,
    unpacked,
    whole_numbers,
)

# Signal to noise in dB of the best uniform quantizer of 2^bits - 1 levels for normal weights, by numerical integration
# (of 3 and 7 levels as in Max 1960, Quantizing for minimum distortion, table 2). Groups of 64, whose scales fit what
# they hold, do a little better.
BEST_DB = {2: 7.2, 3: 13.3, 4: 18.9, 5: 24.3}


@pytest.fixture
def lines():
    torch.manual_seed(0)
    return torch.randn(400, GROUP)


def noise_db(lines, bits):
    error = rounded(lines, best_scales(lines, bits), bits) - lines
    return -10 * float((error.square().mean() / lines.square().mean()).log10())


@pytest.mark.parametrize("bits", BEST_DB)
def test_scales_come_near_the_best_quantizer_of_normal_weights(lines, bits):
    assert BEST_DB[bits] <= noise_db(lines, bits) <= BEST_DB[bits] + 2.0


def test_every_bit_more_is_better(lines):
    noises = [noise_db(lines, bits) for bits in ROUNDED_BITS]
    assert noises == sorted(noises)


def test_no_weight_of_eight_bits_is_clipped(lines):
    scales = best_scales(lines, 8)
    assert (rounded(lines, scales, 8) - lines).abs().max() <= lines.abs().max() / 127 * 2 ** (1 / 8) / 2 + 1e-6


@pytest.mark.parametrize("bits", ROUNDED_BITS)
@pytest.mark.parametrize("length", [1, 5, GROUP, 2 * GROUP + 7])
def test_whole_numbers_are_the_rounded_weights(bits, length):
    lines = torch.randn(3, length, generator=torch.Generator().manual_seed(bits))
    scales = best_scales(lines, bits)
    numbers = whole_numbers(lines, scales, bits)
    again = from_whole_numbers(numbers, scales, bits)
    assert int(numbers.max()) <= 2 * largest_number(bits) < 2**bits
    assert torch.equal(again, rounded(lines, scales, bits))
    assert torch.equal(rounded(again, scales, bits), again), "what is rounded stays"


@pytest.mark.parametrize("bits", ROUNDED_BITS)
def test_packed_numbers_take_their_bits_and_come_back(bits):
    numbers = torch.arange(37, dtype=torch.uint8) & 2**bits - 1
    data = packed(numbers, bits)
    assert data.numel() == -(-37 * bits // 8)
    assert torch.equal(unpacked(data, bits, 37), numbers)


def test_four_bits_are_two_numbers_a_byte_the_first_one_low():
    assert packed(torch.tensor([1, 2, 15], dtype=torch.uint8), 4).tolist() == [0x21, 0x0F]


@pytest.mark.parametrize("bits", ROUNDED_BITS)
@pytest.mark.parametrize("length", [1, GROUP, GROUP + 1])
def test_empty_scales_have_the_shape_of_the_best(bits, length):
    lines = torch.randn(3, length)
    assert empty_scales(lines, bits).shape == best_scales(lines, bits).shape


@pytest.mark.parametrize("bits", [2, 8])
def test_zeros_stay_zeros(bits):
    zeros = torch.zeros(2, 70)
    assert not rounded(zeros, best_scales(zeros, bits), bits).any()


def test_the_gradient_goes_straight_through_but_beyond_the_largest_number():
    lines = torch.tensor([[0.1, -0.2, 5.0, 1.1]], requires_grad=True)
    scales = torch.full((1, 1), 192, dtype=torch.uint8)  # of scale 1: numbers from -1 to 1
    result = rounded(lines, scales, 2)
    assert result.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    result.sum().backward()
    assert lines.grad.tolist() == [[1.0, 1.0, 0.0, 1.0]]


def root_of(length, seed=0):
    """The Cholesky factor of the scatter of inputs that go together."""
    mixed = torch.randn(4 * length, length, generator=torch.Generator().manual_seed(seed))
    inputs = mixed @ torch.randn(length, length, generator=torch.Generator().manual_seed(seed + 1)) + 2 * mixed[:, :1]
    return torch.linalg.cholesky(inputs.T @ inputs)


def output_error(lines, other, root):
    return float(((other - lines) @ root).square().sum())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("length", [1, GROUP, 4 * GROUP + 7])
def test_errors_are_made_up_for_by_weights_that_are_rounded_later(bits, length):
    lines, root = torch.randn(50, length, generator=torch.Generator().manual_seed(bits)), root_of(length)
    scales = best_scales(lines, bits)
    found, plain = nearest_plane(lines, scales, bits, root), rounded(lines, scales, bits)
    assert torch.equal(rounded(found, scales, bits), found), "what is rounded stays"
    share = output_error(lines, found, root) / output_error(lines, plain, root)
    assert share <= 1.0 if length == 1 else share < 0.85


def test_each_error_is_made_up_for_at_once_by_the_column_before_it():
    lines, root = torch.tensor([[0.4, 0.4]]), torch.tensor([[1.0, 0.0], [1.0, 0.5]])
    scales = torch.tensor([[192]], dtype=torch.uint8)  # 1.0
    assert rounded(lines, scales, 4).tolist() == [[0.0, 0.0]]
    assert nearest_plane(lines, scales, 4, root).tolist() == [[1.0, 0.0]], "0.4 and what 0.4 of the other gave"


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_to_the_nearest(lines):
    scales = best_scales(lines, 4)
    root = torch.linspace(0.1, 3.0, GROUP).diag()
    assert torch.equal(nearest_plane(lines, scales, 4, root), rounded(lines, scales, 4))
