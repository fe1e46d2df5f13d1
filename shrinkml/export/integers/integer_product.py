"""The product with one matrix in integers: whole numbers of eight bits, their scales, and a grid for the input."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shrinkml.activations.grid import Grid
from shrinkml.weights.integer_factors import IntegerFactor

# Weights are written as unsigned numbers: processors without VNNI add two products of unsigned and signed ones in 16
# bits, which eight bits each would overflow; of unsigned ones alone they do not.
ZERO = 128


@dataclass(frozen=True)
class IntegerProduct:
    """A matrix and the grid of what it multiplies.

    Attributes:
        layer: that it belongs to.
        factor: the matrix [out, in].
        grid: of its inputs.
    """

    layer: str
    factor: IntegerFactor
    grid: Grid

    @cached_property
    def wide(self) -> np.ndarray:
        """float32 [out, in], as it multiplies in floating point."""
        matrix: np.ndarray = self.factor.wide.cpu().numpy()
        return matrix

    @cached_property
    def numbers(self) -> np.ndarray:
        """uint8 [out, in], ZERO for a weight of 0."""
        numbers: np.ndarray = self.factor.numbers.cpu().numpy().astype(np.int16) + ZERO
        return numbers.astype(np.uint8)

    @cached_property
    def scales(self) -> np.ndarray:
        """float32 [out]."""
        scales: np.ndarray = self.factor.scales.cpu().numpy()
        return scales
