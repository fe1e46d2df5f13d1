"""A matrix of few bits in the arrangement that ONNX Runtime multiplies: whole numbers of 4 or 8 bits, in blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shrinkml.weights.quantized import RoundedRows

NIBBLE = 4  # bits; of the two numbers in a byte the first one has the lower half
BLOCKS = (16, 32, 64, 128)  # neighbours that may share a scale there


@dataclass(frozen=True)
class PackedRows:
    """Rows of few bits: 2 and 3 bits are held in 4, those between 4 and 8 in 8.

    Attributes:
        layer: that they belong to.
        rows: the matrix [n, length].
    """

    layer: str
    rows: RoundedRows

    @property
    def bits(self) -> int:
        """Those that are held of each weight."""
        return NIBBLE if self.rows.bits <= NIBBLE else 2 * NIBBLE

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

    @property
    def numbers(self) -> np.ndarray:
        """uint8 [n, blocks, bytes]."""
        whole = np.full((self.rows.n, self.n_blocks * self.block), self.zero, np.uint8)
        whole[:, : self.rows.length] = self.rows.numbers.numpy() + np.uint8(self.zero - self.rows.zero)
        blocks = whole.reshape(self.rows.n, self.n_blocks, self.block)
        return blocks[..., ::2] | blocks[..., 1::2] << NIBBLE if self.bits == NIBBLE else blocks

    @property
    def scales(self) -> np.ndarray:
        """uint8 [n, blocks], logarithms as in the checkpoint."""
        scales: np.ndarray = self.rows.scales.numpy()
        return np.repeat(scales, self.n_blocks // scales.shape[1], axis=1)
