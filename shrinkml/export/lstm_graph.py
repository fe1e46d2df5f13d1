"""LSTM layers as ONNX operators, each matrix in any form.

A low-rank recurrence runs in one of three ways, whichever was measured to be the fastest (`benchmarks/export.py`): as a
Scan over the thin products in large layers; in small ones as ONNX's LSTM operator over the product of the factors; in
int8, up to larger sizes, as ONNX Runtime's int8 operator over that product. The file holds the factors in each case:
the runtime multiplies them out, and quantizes the product, once, when it loads them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto
from torch import Tensor, nn

from shrinkml.export.graph import Graph
from shrinkml.export.layer_graph import array, multiply
from shrinkml.layers.recurrent import suffixes
from shrinkml.weights.form import Form
from shrinkml.weights.forms import get_form

SCAN_UNITS = 200  # a low-rank recurrence of so many units or more is a Scan
INT8_SCAN_UNITS = 600  # the same in int8
LARGEST_INT8 = 63.0  # of a weight that multiplies in int8: 7 bits, see `shrinkml.export.int8.int8_graph`
SHUT = -1e4  # a gate's input whose sigmoid is zero
ONNX_GATES = [0, 3, 1, 2]  # input, output, forget, cell, out of torch's input, forget, cell, output


class _Direction(NamedTuple):
    """One direction of a layer: its matrices, both biases [2, 4 * units], and what the matrices are called."""

    w_in: Form
    w_hidden: Form
    biases: np.ndarray
    name_in: str
    name_hidden: str
    reverse: int

    @property
    def units(self) -> int:
        return len(self.biases[0]) // 4


def lstm_cell(
    graph: Graph, x: str, state: tuple[str, str], module: nn.Module, name: str, suffix: str = ""
) -> tuple[str, str]:
    """The state h and c behind `x` [batch, in]; `module` is an LSTM cell, torch's or ours.

    One step of a layer is one of a cell: the names of its parameters end in `suffix`, "_l0".
    """
    cell, (h, c) = _direction(module, name, suffix), state
    gates = graph.op("Add", _input_gates(graph, x, cell), multiply(graph, h, cell.w_hidden, cell.name_hidden))
    return _next_state(graph, gates, c, cell.units)


def lstm_layer(graph: Graph, x: str, counts: str, module: nn.Module, name: str) -> str:
    """Outputs [time, batch, directions * units] of a one-layer LSTM over `x` [time, batch, in], `counts` [batch] steps.

    Outputs beyond an utterance's end are zero, to float32 rounding.
    """
    directions = [_direction(module, name, "_l0")]
    if module.bidirectional:
        directions.append(_direction(module, name, "_l0_reverse", reverse=1))
    outputs = [_way(graph, direction)(graph, x, counts, direction) for direction in directions]
    return graph.op("Concat", *outputs, axis=-1) if len(outputs) > 1 else outputs[0]


def layer_width(module: Any) -> int:
    """The outputs of a one-layer LSTM at each step: the units that are left of its directions."""
    return sum(get_form(module, f"weight_hh_{suffix}").shape[1] for suffix in suffixes(module, 0))


def _way(graph: Graph, direction: _Direction) -> Callable[[Graph, str, str, _Direction], str]:
    """The fastest way to run `direction`."""
    if not _is_thin(direction.w_hidden):
        return _operator
    names = {direction.name_in, direction.name_hidden}
    if _is_thin(direction.w_in) and graph.storage.int8 and not names & graph.storage.kept:
        return _int8_operator if direction.units < INT8_SCAN_UNITS else _scan
    return _operator if direction.units < SCAN_UNITS else _scan


def _direction(module: nn.Module, name: str, suffix: str, *, reverse: int = 0) -> _Direction:
    w_in, w_hidden = (get_form(module, f"weight_{kind}{suffix}") for kind in ("ih", "hh"))
    found = [module._parameters.get(f"bias_{kind}{suffix}") for kind in ("ih", "hh")]
    rows = w_in.shape[0]
    biases = np.stack([np.zeros(rows, np.float32) if bias is None else array(bias) for bias in found])
    return _Direction(w_in, w_hidden, biases, f"{name}.weight_ih{suffix}", f"{name}.weight_hh{suffix}", reverse)


def _operator(graph: Graph, x: str, counts: str, direction: _Direction) -> str:
    """ONNX's LSTM operator: [time, batch, units]. Of the input matrix, the thin factors come before it."""
    _, w_hidden, biases, name_in, name, reverse = direction
    x, last = _before_last(graph, x, direction)
    if _is_thin(w_hidden):
        weights = [
            _first(graph, _plain(graph, last, name_in)),
            _first(graph, _product(graph, w_hidden, name)),
        ]
    else:  # as constants, which the quantizer looks for
        weights = [graph.weight(_reordered(array(w))[None], name) for w in (last, w_hidden.dense())]
    bias = graph.weight(np.concatenate([_reordered(row) for row in biases])[None])
    options = {"hidden_size": direction.units, "direction": ("forward", "reverse")[reverse]}
    y = graph.op("LSTM", x, *weights, bias, graph.op("Cast", counts, to=TensorProto.INT32), name=name, **options)
    return graph.op("Squeeze", y, graph.ints(1))


def _int8_operator(graph: Graph, x: str, counts: str, direction: _Direction) -> str:
    """ONNX Runtime's int8 LSTM over both products of factors: [time, batch, units]."""
    _, w_hidden, biases, name_in, name, reverse = direction
    x, last = _before_last(graph, x, direction)
    products = _plain(graph, last, name_in), _product(graph, w_hidden, name)
    weights, scales = zip(*(_quantized(graph, product) for product in products), strict=True)
    bias = graph.weight(np.concatenate([_reordered(row) for row in biases])[None])
    zeros = graph.constant(np.zeros((1, 4 * direction.units)), "int8")
    counts = graph.op("Cast", counts, to=TensorProto.INT32)
    options = {"hidden_size": direction.units, "direction": ("forward", "reverse")[reverse], "domain": "com.microsoft"}
    inputs = x, *weights, bias, counts, "", "", "", scales[0], zeros, scales[1], zeros
    y = graph.op("DynamicQuantizeLSTM", *inputs, name=name, **options)
    return graph.op("Squeeze", y, graph.ints(1))


def _quantized(graph: Graph, matrix: str) -> tuple[str, str]:
    """`matrix` [rows, columns] as int8 [1, columns, rows] and its scales [1, rows], made when the graph is loaded."""
    largest = graph.op("ReduceMax", graph.op("Abs", matrix), graph.ints(1))
    scales = graph.op("Div", graph.op("Max", largest, graph.constant(1e-30)), graph.constant(LARGEST_INT8))
    rounded = graph.op("Cast", graph.op("Round", graph.op("Div", matrix, scales)), to=TensorProto.INT8)
    return _first(graph, graph.op("Transpose", rounded)), graph.op("Transpose", scales)


def _scan(graph: Graph, x: str, counts: str, direction: _Direction) -> str:
    """A low-rank recurrence over gates whose inputs are computed for all steps at once: [time, batch, units]."""
    name, units = direction.name_hidden, direction.units
    gates = _shut(graph, _input_gates(graph, x, direction), counts)
    body = Graph(graph.storage, f"{name}/")
    h, c, now = (body.input(f"{name}/{part}", None) for part in ("h", "c", "gates"))
    after = _next_state(body, body.op("Add", multiply(body, h, direction.w_hidden, name), now), c, units)
    for value, part in zip((*after, after[0]), ("next_h", "next_c", "output"), strict=True):
        body.output(value, f"{name}/{part}", None)
    zeros = graph.op("ConstantOfShape", graph.op("Concat", graph.size(gates, 1), graph.ints(units), axis=0))
    ways = {"scan_input_directions": [direction.reverse], "scan_output_directions": [direction.reverse]}
    return graph.ops("Scan", zeros, zeros, gates, n=3, name=name, body=body.body(), num_scan_inputs=1, **ways)[2]


def _input_gates(graph: Graph, x: str, direction: _Direction) -> str:
    """[..., 4 * units]: what the gates get from `x` and from the biases."""
    products = multiply(graph, x, direction.w_in, direction.name_in)
    return graph.op("Add", products, graph.weight(direction.biases.sum(0)))


def _shut(graph: Graph, gates: str, counts: str) -> str:
    """`gates` [time, batch, 4 * units], shut beyond `counts` [batch]: the state there is zero."""
    steps = graph.op("Unsqueeze", graph.count(graph.size(gates, 0)), graph.ints(1, 2))
    heard = graph.op("Less", steps, graph.op("Unsqueeze", counts, graph.ints(0, 2)))
    return graph.op("Where", heard, gates, graph.constant(SHUT))


def _next_state(graph: Graph, gates: str, c: str, units: int) -> tuple[str, str]:
    """The next h and c, from the inputs of the `gates` [batch, 4 * units] in torch's order and from `c`."""
    i, f, g, o = graph.ops("Split", gates, graph.ints(*[units] * 4), n=4, axis=-1)
    kept = graph.op("Mul", graph.op("Sigmoid", f), c)
    new = graph.op("Mul", graph.op("Sigmoid", i), graph.op("Tanh", g))
    c = graph.op("Add", kept, new)
    return graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", c)), c


def _is_thin(form: Form) -> bool:
    return len(form.factors) > 1


def _before_last(graph: Graph, x: str, direction: _Direction) -> tuple[str, Tensor]:
    """The input behind all factors of the input matrix but the last, and the last [4 * units, k]."""
    form = direction.w_in
    *thin, (_, last) = zip(form.labels, form.factors, strict=True)
    for label, factor in thin:
        name = f"{direction.name_in}{label}"
        x = graph.op("MatMul", x, graph.weight(array(factor).T, name), name=name)
    return x, last


def _product(graph: Graph, form: Form, name: str) -> str:
    """[4 * units, in] in ONNX's order: the factors multiplied out when the runtime loads them."""
    *thin, last = form.factors
    product = ""
    for factor in thin:
        ready = graph.weight(array(factor), name, quantizable=False)
        product = graph.op("MatMul", ready, product) if product else ready
    return graph.op("MatMul", _plain(graph, last, name), product)


def _plain(graph: Graph, matrix: Tensor, name: str) -> str:
    return graph.weight(_reordered(array(matrix)), name, quantizable=False)


def _first(graph: Graph, matrix: str) -> str:
    """[1, ...]: what ONNX wants for each direction."""
    return graph.op("Unsqueeze", matrix, graph.ints(0))


def _reordered(rows: np.ndarray) -> np.ndarray:
    """`rows` [4 * units, ...] with its gates in ONNX's order."""
    return np.concatenate([np.split(rows, 4)[gate] for gate in ONNX_GATES])
