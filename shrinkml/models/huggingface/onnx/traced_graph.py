"""Networks of transformers as ONNX graphs, traced by torch's exporter, their weights stored as `Storage` says.

The exporter turns matrices around and calls them anew; the note (`doc_string`) on each tells whose layer it is.
"""

import copy
import hashlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from shrinkml.errors import ExportError
from shrinkml.export.drawn import Drawn, components
from shrinkml.export.few_bits.packed_products import pack_
from shrinkml.export.graph import FRONT, OPSET, THIN, Storage, as_model, half_of, int8_of
from shrinkml.export.int8.tied_tables import tie_
from shrinkml.export.integers.integer_products import multiply_in_integers_
from shrinkml.export.layer_graph import array
from shrinkml.export.recipe import Recipe
from shrinkml.weights.forms import matrix_of

FEW = 256  # weights; fewer are not worth a scale where no product is made with them

Example = Tensor | list[Tensor]


def trace(
    module: nn.Module,
    inputs: Mapping[str, Example],
    outputs: Sequence[str],
    *,
    free: Mapping[str, Sequence[int]] | None = None,
) -> onnx.GraphProto:
    """The forward pass of `module`, its matrices noted with their layers.

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
    graph = program.model_proto.graph
    _clear_notes_(graph)
    _note_layers_(graph, module)
    return graph


def drawn(parts: Mapping[str, onnx.GraphProto], recipe: Recipe) -> Drawn:
    """The traced graphs `parts`, the last of which gives the scores, driven as `recipe` says.

    Raises:
        ExportError: no layer is found that makes the scores.
    """
    layers = {part: layers_of(graph) for part, graph in parts.items()}
    return Drawn(recipe, components(layers, scoring_layer([*parts.values()][-1])), partial(_stored, parts))


def _stored(parts: Mapping[str, onnx.GraphProto], storage: Storage) -> dict[str, onnx.ModelProto]:
    found = {}
    for name, part in parts.items():
        graph = copy.deepcopy(part)
        store_(graph, storage.of(name))
        found[name] = as_model(graph)
    return found


def names(argument: str, value: Example) -> list[str]:
    """Names of the inputs of a graph that `value`, given as `argument`, is an example of."""
    return [f"{argument}.{i}" for i in range(len(value))] if isinstance(value, list) else [argument]


def _dynamic(value: Example, axes: Sequence[int]) -> object:
    one = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    return [one] * len(value) if isinstance(value, list) else one


def layers_of(graph: onnx.GraphProto) -> tuple[str, ...]:
    """The layers of `graph` whose weights `Storage.int8` rounds: matrices, tables and kernels."""
    factors = _all_factors(graph)
    rounded = (_layer(tensor) for tensor in _floats(graph) if _is_rounded(tensor, quantizable=tensor.name in factors))
    return tuple(dict.fromkeys(rounded))


def scoring_layer(graph: onnx.GraphProto) -> str:
    """The layer that makes the first output of `graph`, its scores.

    Raises:
        ExportError: none is found.
    """
    made = {name: node for node in graph.node for name in node.output}
    matrices = {tensor.name: _layer(tensor) for tensor in _floats(graph) if len(tensor.dims) > 1}
    name: str | None = graph.output[0].name
    while name is not None and name in made:
        inputs = made[name].input
        for read in inputs:
            if read in matrices:
                return matrices[read]
        name = next((read for read in inputs if read in made), None)
    raise ExportError("no layer is found that makes the scores of this network")


def store_(graph: onnx.GraphProto, storage: Storage) -> None:
    """Narrows the weights of `graph` where `storage` allows it; the runtime widens them when it loads them."""
    multiply_in_integers_(graph, storage)
    pack_(graph, storage)
    tie_(graph, THIN, turn=lambda table: storage.int8 and _layer(table) not in storage.kept)
    factors = _all_factors(graph)
    for tensor in _floats(graph):
        quantizable, kept = tensor.name in factors, _layer(tensor) in storage.kept
        to_int8 = storage.int8 and not kept and _is_rounded(tensor, quantizable=quantizable)
        tensor.ClearField("doc_string")
        if to_int8 and quantizable and np.prod(tensor.dims) >= THIN:
            continue
        value = numpy_helper.to_array(tensor)
        narrow = int8_of(value) if to_int8 else _halved(value, storage)
        if narrow or (kept and quantizable):
            graph.initializer.remove(tensor)
            _widen_(graph, tensor.name, *(narrow or (value,)))  # the quantizer takes no matrix that is cast


def _floats(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    return [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]


def _layer(tensor: onnx.TensorProto) -> str:
    return tensor.doc_string or tensor.name


def _is_rounded(tensor: onnx.TensorProto, *, quantizable: bool) -> bool:
    """True where int8 is for `tensor`."""
    learnt = not tensor.name.startswith(FRONT)
    return learnt and len(tensor.dims) > 1 and (quantizable or int(np.prod(tensor.dims)) >= FEW)


def _all_factors(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in _factors(node)}


def _factors(node: onnx.NodeProto) -> list[str]:
    """The matrix of a product, or the table of an embedding: what the quantizer looks for."""
    if node.op_type in ("MatMul", "Gemm"):
        return list(node.input[1:2])
    return list(node.input[:1]) if node.op_type == "Gather" else []


def _halved(value: np.ndarray, storage: Storage) -> tuple[np.ndarray, ...]:
    """`value` as float16; nothing where it stays as it is."""
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


def _clear_notes_(graph: onnx.GraphProto) -> None:
    """Forgets where each operator came from: such notes are most of a small file."""
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _note_layers_(graph: onnx.GraphProto, module: nn.Module) -> None:
    """Notes on each matrix of `graph` the layer of the parameter of `module` that it is, turned around or not."""
    known: dict[str, str] = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            layer = matrix_of(name)
            for value in (array(parameter), array(parameter.T if parameter.ndim == 2 else parameter)):
                known.setdefault(_digest(value), layer)
    for tensor in _floats(graph):
        tensor.doc_string = known.get(_digest(numpy_helper.to_array(tensor)), "")


def _digest(value: np.ndarray) -> str:
    return hashlib.sha256(value.tobytes()).hexdigest()
