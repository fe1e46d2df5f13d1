"""A matrix of few bits in the arrangement that ONNX Runtime multiplies: whole numbers of 4 or 8 bits, in blocks.

A file holds no more of them than there are: of numbers of 5 to 7 bits the lower half of each, and apart from these
what is above. The runtime puts both together when it loads them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shrinkml.weights.quantized import RoundedRows

NIBBLE, BYTE = 4, 8  # bits
BLOCKS = (16, 32, 64, 128)  # neighbours that may share a scale there


@dataclass(frozen=True)
class PackedRows:
    """Rows of few bits: numbers of 2 and 3 bits are multiplied as those of 4, and those between 4 and 8 as those of 8.

    Attributes:
        layer: that they belong to.
        rows: the matrix [n, length].
    """

    layer: str
    rows: RoundedRows

    @property
    def bits(self) -> int:
        """Those of each number that is multiplied."""
        return NIBBLE if self.rows.bits <= NIBBLE else BYTE

    @property
    def bits_above(self) -> int:
        """Those of each number that a file holds apart from its lower half: 1, 2, 4 or none."""
        above = max(0, self.rows.bits - NIBBLE)
        return above if above != 3 else NIBBLE

    @property
    def zero(self) -> int:
        """The number of a weight of 0."""
        return 1 << self.bits - 1

    @property
    def block(self) -> int:
        """Neighbours that share a scale: as in the checkpoint; of a whole row that does, as many as take least room."""
        if self.rows.scales.shape[1] > 1:
            return self.rows.group
        return min(BLOCKS, key=lambda block: -(-self.rows.length // block) * (block + 1))

    @property
    def n_blocks(self) -> int:
        """Blocks in a row, the last one perhaps filled up."""
        return -(-self.rows.length // self.block)

    @cached_property
    def wide(self) -> np.ndarray:
        """[n, length], float32."""
        numbers: np.ndarray = self.rows.dense().numpy()
        return numbers

    @cached_property
    def numbers(self) -> np.ndarray:
        """uint8 [n, blocks, block]: the numbers as they are multiplied."""
        whole = np.full((self.rows.n, self.n_blocks * self.block), self.zero, np.uint8)
        whole[:, : self.rows.length] = self.rows.numbers.numpy() + np.uint8(self.zero - self.rows.zero)
        return whole.reshape(self.rows.n, self.n_blocks, self.block)

    @property
    def lower(self) -> np.ndarray:
        """uint8 [n, blocks, block / 2]: the lower half of each number."""
        return packed(self.numbers & (1 << NIBBLE) - 1, NIBBLE)

    @property
    def upper(self) -> np.ndarray:
        """uint8 [n, blocks, block * bits_above / 8]: what each number has above its lower half, less `least_above`."""
        return packed((self.numbers >> NIBBLE) - np.uint8(self.least_above), self.bits_above)

    @property
    def least_above(self) -> int:
        """The least that any number has above its lower half."""
        return (1 << NIBBLE - 1) - (1 << self.bits_above - 1)

    @property
    def scales(self) -> np.ndarray:
        """uint8 [n, blocks], logarithms as in the checkpoint."""
        scales: np.ndarray = self.rows.scales.numpy()
        return np.repeat(scales, self.n_blocks // scales.shape[1], axis=1)


def packed(numbers: np.ndarray, bits: int) -> np.ndarray:
    """[..., n * bits / 8] of `numbers` [..., n] of 1, 2 or 4 bits: of those in a byte the first has the lowest bits."""
    together = numbers.reshape(*numbers.shape[:-1], -1, BYTE // bits)
    shifted = together << (np.arange(BYTE // bits, dtype=np.uint8) * np.uint8(bits))
    joined: np.ndarray = np.bitwise_or.reduce(shifted, axis=-1)
    return joined
