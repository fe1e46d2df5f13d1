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

DYNAMIC = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}  # batch and time


def trace(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> onnx.GraphProto:
    """The forward pass of `module`, free in the first two axes of each argument; `inputs` are examples of these.

    Raises:
        ExportError: torch cannot.
    """
    logger, before = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    logger.setLevel(logging.ERROR)  # it tells what other libraries are not installed
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's own, of what it calls in itself
            program = torch.onnx.export(
                module.eval(),
                kwargs=dict(inputs),
                dynamo=True,
                dynamic_shapes=dict.fromkeys(inputs, DYNAMIC),
                input_names=list(inputs),
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


def store_(graph: onnx.GraphProto, storage: Storage) -> None:
    """Narrows the weights of `graph` where `storage` allows it; the runtime widens them when it loads them."""
    for tensor in [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]:
        narrowed = _narrowed(numpy_helper.to_array(tensor), storage)
        if narrowed:
            graph.initializer.remove(tensor)
            _widen_(graph, tensor.name, *narrowed)


def _narrowed(value: np.ndarray, storage: Storage) -> tuple[np.ndarray, ...]:
    """`value` in a narrower type, and what to multiply that with, if anything; nothing where it stays as it is."""
    if storage.int8 and value.ndim == 2:
        return int8_of(value) if value.size < THIN else ()  # larger ones are for the quantizer
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
