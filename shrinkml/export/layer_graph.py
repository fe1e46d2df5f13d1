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


def convolution(graph: Graph, x: str, module: nn.Module, name: str) -> str:
    """[batch, time, in] to [batch, steps, out]; `module` is a convolution of one group, torch's or ours.

    It is written as the product of its matrix and windows of `x`, so that it is compressed like any product.
    """
    width, stride, padding, dilation = (
        int(getattr(module, part)[0]) for part in ("kernel_size", "stride", "padding", "dilation")
    )
    n_in, reach = int(module.in_channels), dilation * (width - 1)  # type: ignore[arg-type]
    x = graph.op("Pad", x, graph.ints(0, padding, 0, 0, padding, 0))
    n_first = graph.op("Sub", graph.size(x, 1), graph.ints(reach))  # places of the first tap
    taps = []
    for first in range(0, reach + 1, dilation):
        end = graph.op("Add", n_first, graph.ints(first))
        tap = graph.op("Slice", x, graph.ints(first), end, graph.ints(1), graph.ints(stride))
        taps.append(graph.op("Unsqueeze", tap, graph.ints(3)))
    windows = graph.op("Reshape", graph.op("Concat", *taps, axis=3), graph.ints(0, 0, n_in * width))
    return linear(graph, windows, module, name)


def layer_norm(graph: Graph, x: str, module: nn.LayerNorm) -> str:
    """`x` [..., units], each with zero mean and unit variance over its units, scaled and shifted as was learnt."""
    parts = [graph.weight(array(part)) for part in (module.weight, module.bias)]
    return graph.op("LayerNormalization", x, *parts, axis=-1, epsilon=module.eps)


def embedding(graph: Graph, indices: str, module: nn.Module, name: str) -> str:
    """Vectors of `indices`; `module` is an embedding, torch's or ours."""
    form, name = get_form(module, "weight"), f"{name}.weight"
    *thin, (last, table) = zip(form.labels, form.factors, strict=True)
    x = graph.op("Gather", graph.weight(array(table), name), indices, name=name + last)
    for label, factor in reversed(thin):  # a row of W is a row of the last factor, through the others
        x = graph.op("MatMul", x, graph.weight(array(factor), name), name=name + label)
    return x
