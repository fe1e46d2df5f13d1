"""Layers as ONNX operators: a matrix is one plain MatMul for each of the factors of its form."""

import numpy as np
from torch import Tensor, nn

from shrinkml.export.graph import Graph
from shrinkml.weights.form import Form
from shrinkml.weights.forms import get_form


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers, float32."""
    numbers: np.ndarray = tensor.detach().float().cpu().numpy()
    return numbers


def multiply(graph: Graph, x: str, form: Form, name: str) -> str:
    """Returns x W^T, factor by factor."""
    for label, factor in zip(form.labels, form.factors, strict=True):
        x = graph.op("MatMul", x, graph.weight(array(factor).T, name), name=name + label)
    return x


def linear(graph: Graph, x: str, module: nn.Module, name: str) -> str:
    """[..., in] to [..., out]; `module` is a linear layer, torch's or ours."""
    y = multiply(graph, x, get_form(module, "weight"), f"{name}.weight")
    bias = module._parameters.get("bias")
    return y if bias is None else graph.op("Add", y, graph.weight(array(bias)))


def embedding(graph: Graph, indices: str, module: nn.Module, name: str) -> str:
    """Vectors of `indices`; `module` is an embedding, torch's or ours."""
    form, name = get_form(module, "weight"), f"{name}.weight"
    *thin, (last, table) = zip(form.labels, form.factors, strict=True)
    x = graph.op("Gather", graph.weight(array(table), name), indices, name=name + last)
    for label, factor in reversed(thin):  # a row of W is a row of the last factor, through the others
        x = graph.op("MatMul", x, graph.weight(array(factor), name), name=name + label)
    return x
