import numpy as np
import pytest
import torch

from shrinkml.export.few_bits.packed_rows import PackedRows
from shrinkml.weights.quantized import RoundedRows
from shrinkml.weights.rounding import OCTAVE, ONE, best_scales, rounded, whole_numbers


def packed(bits, length, n=5):
    lines = torch.randn(n, length, generator=torch.Generator().manual_seed(bits))
    scales = best_scales(lines, bits)
    return lines, PackedRows("layer", RoundedRows(whole_numbers(lines, scales, bits), scales, bits))


def unpacked(numbers, bits):
    parts = [numbers >> first & (1 << bits) - 1 for first in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(*numbers.shape[:2], -1)


def opened(rows):
    """The matrix as ONNX Runtime reads it."""
    numbers = unpacked(rows.lower, 4)
    if rows.bits_above:
        numbers = numbers | unpacked(rows.upper, rows.bits_above) + rows.least_above << 4
        np.testing.assert_array_equal(numbers, rows.numbers)
    weights = (numbers.astype(np.float32) - rows.zero) * 2.0 ** ((rows.scales[..., None].astype(float) - ONE) / OCTAVE)
    return weights.reshape(len(numbers), -1)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("length", [20, 64, 130, 384])
def test_what_is_held_is_the_matrix_and_zeros_behind_its_rows(bits, length):
    lines, rows = packed(bits, length)
    found = opened(rows)
    np.testing.assert_allclose(found[:, :length], rounded(lines, best_scales(lines, bits), bits).numpy(), rtol=1e-6)
    assert not found[:, length:].any()
    np.testing.assert_allclose(rows.wide, found[:, :length], rtol=1e-6)


@pytest.mark.parametrize(
    ("bits", "multiplied", "held"), [(2, 4, 4), (3, 4, 4), (4, 4, 4), (5, 8, 5), (6, 8, 6), (7, 8, 8), (8, 8, 8)]
)
def test_a_file_holds_so_many_bits_of_a_weight(bits, multiplied, held):
    _, rows = packed(bits, 128)
    assert rows.bits == multiplied
    n_bytes = rows.lower.nbytes + (rows.upper.nbytes if rows.bits_above else 0)
    assert n_bytes == 5 * 128 * held // 8


@pytest.mark.parametrize(("length", "block"), [(384, 128), (260, 16), (20, 32)])
def test_a_scale_of_a_whole_row_is_told_of_blocks_that_take_least_room(length, block):
    _, rows = packed(8, length)
    assert rows.block == block
    assert rows.scales.shape == (5, rows.n_blocks)
