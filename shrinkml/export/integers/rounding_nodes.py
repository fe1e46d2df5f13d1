"""Rounding as ONNX operators: to whole numbers and back (QuantizeLinear, DequantizeLinear).

ONNX Runtime makes one product in integers of a product between two such pairs.
"""

import numpy as np
from torch import Tensor, nn

from shrinkml.activations.grid import Grid
from shrinkml.activations.places import quantizer_at
from shrinkml.activations.weight_rounding import row_grid
from shrinkml.export.graph import Graph

BYTE = 255  # the largest number that the operators hold by themselves


def rounded(graph: Graph, x: str, module: nn.Module, place: str) -> str:
    """`x` as `module` rounds it at `place`; `x` itself where it rounds nothing."""
    quantizer = quantizer_at(module, place)
    return x if quantizer is None else on_grid(graph, x, quantizer.grid)


def divisor(graph: Graph, x: str, module: nn.Module, place: str) -> str:
    """The same of positive numbers by which others are divided: one step at least."""
    quantizer = quantizer_at(module, place)
    if quantizer is None:
        return x
    least = graph.constant(float(quantizer.grid.scale))
    return on_grid(graph, graph.op("Max", x, least), quantizer.grid)


def on_grid(graph: Graph, x: str, grid: Grid) -> str:
    """`x` at the nearest multiples that whole numbers of `grid` stand for."""
    if grid.largest < BYTE:
        least = -float(grid.zero) * float(grid.scale)
        most = (grid.largest - float(grid.zero)) * float(grid.scale)
        x = graph.op("Clip", x, graph.constant(least), graph.constant(most))
    scale, zero = graph.constant(float(grid.scale)), graph.constant(int(grid.zero), "uint8")
    return graph.op("DequantizeLinear", graph.op("QuantizeLinear", x, scale, zero), scale, zero)


def rounded_weight(graph: Graph, module: nn.Module, weight: Tensor) -> str:
    """The constant `weight` [rows, ...] of `module`, rounded row by row where that rounds anything."""
    value: np.ndarray = weight.detach().cpu().float().numpy()
    grid = row_grid(module, weight)
    if grid is None:
        return graph.weight(value)
    scales, zeros = grid.scale.cpu().numpy(), grid.zero.cpu().numpy()
    along = (-1, *[1] * (value.ndim - 1))
    numbers = np.clip(np.rint(value / scales.reshape(along)) + zeros.reshape(along), 0, grid.largest)
    parts = graph.constant(numbers, "uint8"), graph.constant(scales), graph.constant(zeros, "uint8")
    return graph.op("DequantizeLinear", *parts, axis=0)
