"""Networks of transformers as ONNX graphs, traced by torch's exporter, their weights stored as `Storage` says."""

import logging
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from shrinkml.errors import ExportError
from shrinkml.export.graph import OPSET, THIN, Storage, half_of, int8_of

FEW = 256  # weights; fewer are not worth a scale where no product is made with them

Example = Tensor | list[Tensor]


def trace(
    module: nn.Module,
    inputs: Mapping[str, Example],
    outputs: Sequence[str],
    *,
    free: Mapping[str, Sequence[int]] | None = None,
) -> onnx.GraphProto:
    """The forward pass of `module`.

    Args:
        module: its arguments are tensors, and lists of tensors.
        inputs: an example of each argument. Those of a list become inputs called by its name, a dot and a number.
        outputs: names of what it returns.
        free: axes of each argument (or of each tensor in it) that may be of any size; batch and time, the first two,
            where nothing is said.

    Raises:
        ExportError: torch cannot.
    """
    shapes = {name: _dynamic(value, (free or {}).get(name, (0, 1))) for name, value in inputs.items()}
    logger, before = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    logger.setLevel(logging.ERROR)  # it tells what other libraries are not installed
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's own, of what it calls in itself
            program = torch.onnx.export(
                module.eval(),
                kwargs=dict(inputs),
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=[name for argument, value in inputs.items() for name in names(argument, value)],
                output_names=list(outputs),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        raise ExportError(f"torch's exporter cannot trace this network: {cause}") from error
    finally:
        logger.setLevel(before)
    assert program is not None, "dynamo=True returns the program"
    return _plain(program.model_proto.graph)


def names(argument: str, value: Example) -> list[str]:
    """What the inputs of a graph are called that `value`, given as `argument`, is an example of."""
    return [f"{argument}.{i}" for i in range(len(value))] if isinstance(value, list) else [argument]


def _dynamic(value: Example, axes: Sequence[int]) -> object:
    one = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    return [one] * len(value) if isinstance(value, list) else one


def store_(graph: onnx.GraphProto, storage: Storage) -> None:
    """Narrows the weights of `graph` where `storage` allows it; the runtime widens them when it loads them."""
    if storage.int8:
        _untie_(graph)
    factors = {name for node in graph.node for name in _factors(node)}
    for tensor in [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]:
        narrowed = _narrowed(numpy_helper.to_array(tensor), storage, quantizable=tensor.name in factors)
        if narrowed:
            graph.initializer.remove(tensor)
            _widen_(graph, tensor.name, *narrowed)


def _untie_(graph: onnx.GraphProto) -> None:
    """Gives each output layer a copy of the large table that it shares: the quantizer turns its matrix around."""
    held = {tensor.name: tensor for tensor in graph.initializer if np.prod(tensor.dims) >= THIN}
    for place, node in enumerate(graph.node):
        if node.op_type == "Gemm" and node.input[1] in held:
            copy = onnx.TensorProto()
            copy.CopyFrom(held[node.input[1]])
            copy.name = f"{copy.name}.{place}"
            graph.initializer.append(copy)
            node.input[1] = copy.name
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _factors(node: onnx.NodeProto) -> list[str]:
    """The matrix of a product, or the table of an embedding: what the quantizer looks for."""
    if node.op_type in ("MatMul", "Gemm"):
        return list(node.input[1:2])
    return list(node.input[:1]) if node.op_type == "Gather" else []


def _narrowed(value: np.ndarray, storage: Storage, *, quantizable: bool) -> tuple[np.ndarray, ...]:
    """`value` in a narrower type, and what to multiply that with, if anything; nothing where it stays as it is."""
    if storage.int8 and value.ndim > 1 and (quantizable or value.size >= FEW):
        return () if quantizable and value.size >= THIN else int8_of(value)
    half = half_of(value) if storage.half else None
    return () if half is None else (half,)


def _widen_(graph: onnx.GraphProto, name: str, narrow: np.ndarray, scale: np.ndarray | None = None) -> None:
    """Adds what makes `name` of `narrow`."""
    wide = name if scale is None else f"{name}.wide"
    graph.initializer.append(numpy_helper.from_array(narrow, f"{name}.narrow"))
    nodes = [helper.make_node("Cast", [f"{name}.narrow"], [wide], to=TensorProto.FLOAT)]
    if scale is not None:
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Mul", [wide, f"{name}.scale"], [name]))
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)


def _plain(graph: onnx.GraphProto) -> onnx.GraphProto:
    """`graph` without notes on where each operator came from, which are most of a small file."""
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return graph
