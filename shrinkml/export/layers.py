"""Layers as ONNX operators: a dense matrix is one MatMul, a factorized one two plain ones."""

import numpy as np
from torch import Tensor, nn

from shrinkml.compression.factors import Factors, Matrix, get_matrix
from shrinkml.export.graph import Graph

NEVER = -1e4  # a gate's input that shuts it: its sigmoid is zero
ONNX_GATES = [0, 3, 1, 2]  # input, output, forget, cell, of torch's input, forget, cell, output


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
    y = apply(graph, x, get_matrix(module, "weight"), name)
    bias = module.get_parameter("bias") if module._parameters.get("bias") is not None else None
    return y if bias is None else graph.op("Add", y, graph.weight(array(bias)))


def embedding(graph: Graph, indices: str, module: nn.Module, name: str) -> str:
    """Vectors of `indices`; `module` is an `nn.Embedding` or its low-rank twin."""
    matrix = get_matrix(module, "weight")
    if isinstance(matrix, Factors):
        rows = graph.op("Gather", graph.weight(array(matrix.up), name), indices, name=f"{name}.up")
        return graph.op("MatMul", rows, graph.weight(array(matrix.down), name), name=f"{name}.down")
    return graph.op("Gather", graph.weight(array(matrix), name), indices, name=name)


def lstm_cell(graph: Graph, x: str, state: tuple[str, str], module: nn.Module, name: str) -> tuple[str, str]:
    """The state h and c behind `x` [batch, in]; `module` is an `nn.LSTMCell` or its low-rank twin."""
    h, c = state
    inputs = apply(graph, x, get_matrix(module, "weight_ih"), f"{name}.weight_ih")
    hidden = apply(graph, h, get_matrix(module, "weight_hh"), f"{name}.weight_hh")
    gates = graph.op("Add", graph.op("Add", inputs, hidden), graph.weight(_biases(module, "").sum(0)))
    return _gates(graph, gates, c, _units(module))


def bidirectional_lstm(graph: Graph, x: str, counts: str, module: nn.Module, name: str) -> str:
    """Outputs [time, batch, 2 * units] of a one-layer LSTM over `x` [time, batch, in], of `counts` [batch] steps.

    A dense recurrence is ONNX's LSTM operator, with the thin half of a factorized input matrix before it. A low-rank
    one is a Scan over gates that were computed for all steps at once: on this project's layers faster than the LSTM
    operator with the product as its matrix, in float32 (`benchmarks/onnx.py`). Outputs beyond an utterance's end are
    zero, to float32 rounding.
    """
    outputs = [
        _direction(graph, x, counts, module, suffix, f"{name}.{{}}_{suffix}", reverse=reverse)
        for reverse, suffix in enumerate(("l0", "l0_reverse"))
    ]
    return graph.op("Concat", *outputs, axis=-1)


def _direction(graph: Graph, x: str, counts: str, module: nn.Module, suffix: str, name: str, *, reverse: int) -> str:
    w_in, w_hidden = (get_matrix(module, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
    name_in, name_hidden = name.format("weight_ih"), name.format("weight_hh")
    if isinstance(w_hidden, Factors):
        gates = graph.op("Add", apply(graph, x, w_in, name_in), graph.weight(_biases(module, f"_{suffix}").sum(0)))
        return _scan(graph, _shut(graph, gates, counts), w_hidden, name_hidden, reverse=reverse)
    if isinstance(w_in, Factors):
        x = apply(graph, x, w_in.down, f"{name_in}.down")
        w_in = w_in.up
    return _operator(graph, x, counts, w_in, w_hidden, _biases(module, f"_{suffix}"), name_hidden, reverse=reverse)


def _operator(
    graph: Graph, x: str, counts: str, w_in: Tensor, w_hidden: Tensor, biases: np.ndarray, name: str, *, reverse: int
) -> str:
    """ONNX's LSTM operator in one direction: [time, batch, units]."""
    weights = [graph.weight(_onnx_order(array(w))[None], name) for w in (w_in, w_hidden)]
    bias = graph.weight(np.concatenate([_onnx_order(b) for b in biases])[None])
    options = {"hidden_size": w_hidden.shape[1], "direction": ("forward", "reverse")[reverse]}
    output = graph.op("LSTM", x, *weights, bias, graph.op("Cast", counts, to=6), name=name, **options)
    return graph.op("Squeeze", output, graph.ints(1))


def _scan(graph: Graph, gates: str, recurrent: Factors, name: str, *, reverse: int) -> str:
    """The low-rank recurrence over `gates` [time, batch, 4 * units]: [time, batch, units]."""
    units = recurrent.down.shape[1]
    body = Graph(graph.storage, f"{name}/")
    h, c, now = (body.input(f"{name}/{part}", None) for part in ("h", "c", "gates"))
    after = _gates(body, body.op("Add", apply(body, h, recurrent, name), now), c, units)
    for value, part in zip((*after, after[0]), ("next_h", "next_c", "output"), strict=True):
        body.output(value, f"{name}/{part}", None)
    zeros = graph.op("ConstantOfShape", graph.op("Concat", graph.size(gates, 1), graph.ints(units), axis=0))
    options = {"scan_input_directions": [reverse], "scan_output_directions": [reverse]}
    return graph.ops("Scan", zeros, zeros, gates, n=3, name=name, body=body.body(), num_scan_inputs=1, **options)[2]


def _shut(graph: Graph, gates: str, counts: str) -> str:
    """`gates` [time, batch, 4 * units] without those beyond `counts` [batch]: the state there is zero."""
    steps = graph.op("Unsqueeze", graph.count(graph.size(gates, 0)), graph.ints(1, 2))
    heard = graph.op("Less", steps, graph.op("Unsqueeze", counts, graph.ints(0, 2)))
    return graph.op("Where", heard, gates, graph.constant(NEVER))


def _gates(graph: Graph, gates: str, c: str, units: int) -> tuple[str, str]:
    """The next h and c of `gates` [batch, 4 * units], before their squashing, in torch's order."""
    i, f, g, o = graph.ops("Split", gates, graph.ints(*[units] * 4), n=4, axis=-1)
    kept = graph.op("Mul", graph.op("Sigmoid", f), c)
    new = graph.op("Mul", graph.op("Sigmoid", i), graph.op("Tanh", g))
    c = graph.op("Add", kept, new)
    return graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", c)), c


def _units(module: nn.Module) -> int:
    units: int = module.hidden_size  # type: ignore[assignment]
    return units


def _biases(module: nn.Module, suffix: str) -> np.ndarray:
    """[2, 4 * units]: both biases of the gates, zeros where the module has none."""
    names = [name for name in (f"bias_ih{suffix}", f"bias_hh{suffix}") if module._parameters.get(name) is not None]
    found = [array(module.get_parameter(name)) for name in names]
    return np.stack(found) if found else np.zeros((2, 4 * _units(module)), np.float32)


def _onnx_order(matrix: np.ndarray) -> np.ndarray:
    """`matrix` [4 * units, ...] with its gates in ONNX's order."""
    return np.concatenate([np.split(matrix, 4)[gate] for gate in ONNX_GATES])
