"""Layers as ONNX operators: a dense matrix is one MatMul, a factorized one two plain ones."""

import numpy as np
from torch import Tensor, nn

from shrinkml.export.graph import Graph
from shrinkml.weights.forms import Factors, Matrix, get_matrix


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers, float32."""
    numbers: np.ndarray = tensor.detach().float().cpu().numpy()
    return numbers


def apply(graph: Graph, x: str, matrix: Matrix, name: str) -> str:
    """Returns x W^T, through the factors where there are any."""
    parts = {".down": matrix.down, ".up": matrix.up} if isinstance(matrix, Factors) else {"": matrix}
    for suffix, part in parts.items():
        x = graph.op("MatMul", x, graph.weight(array(part).T, name), name=name + suffix)
    return x


def linear(graph: Graph, x: str, module: nn.Module, name: str) -> str:
    """[..., in] to [..., out]; `module` is an `nn.Linear` or its low-rank twin."""
    y = apply(graph, x, get_matrix(module, "weight"), f"{name}.weight")
    bias = module._parameters.get("bias")
    return y if bias is None else graph.op("Add", y, graph.weight(array(bias)))


def embedding(graph: Graph, indices: str, module: nn.Module, name: str) -> str:
    """Vectors of `indices`; `module` is an `nn.Embedding` or its low-rank twin."""
    matrix, name = get_matrix(module, "weight"), f"{name}.weight"
    if isinstance(matrix, Factors):
        rows = graph.op("Gather", graph.weight(array(matrix.up), name), indices, name=f"{name}.up")
        return graph.op("MatMul", rows, graph.weight(array(matrix.down), name), name=f"{name}.down")
    return graph.op("Gather", graph.weight(array(matrix), name), indices, name=name)
