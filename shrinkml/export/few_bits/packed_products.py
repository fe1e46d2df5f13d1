"""Matrices of few bits in graphs: whole numbers and scales, as in checkpoints.

A product with one vector at a time, as in the steps of a decoder, takes the time to read its matrix. ONNX Runtime
multiplies whole numbers of 4 or 8 bits as they are (`MatMulNBits`, an operator of its own): the fewer, the faster.
Products with many vectors at once are no faster so. Their matrices are widened when the graph is loaded; in int8 they
are left to the quantizer, whose products are.
"""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from torch import nn

from shrinkml.compression.sites import sites_by_layer
from shrinkml.export.few_bits.packed_rows import BYTE, NIBBLE, PackedRows
from shrinkml.export.graph import THIN, Graph, Storage
from shrinkml.export.int8.tied_tables import drop_unread_
from shrinkml.weights.quantized import rounded_rows
from shrinkml.weights.rounding import OCTAVE, ONE

INT32, UINT8 = TensorProto.INT32, TensorProto.UINT8
IN_FLOAT, IN_INT8 = 0, 4  # what MatMulNBits multiplies in (its `accuracy_level`)


def few_bits_of(module: nn.Module) -> dict[str, PackedRows]:
    """The large matrices of `module` that are stored in few bits, by the digests of what they are widened to."""
    known: dict[str, PackedRows] = {}
    for layer, site in sites_by_layer(module).items():
        for rows in rounded_rows(site.form):
            if rows.n * rows.length >= THIN:
                packed = PackedRows(layer, rows)
                known |= {_digest(packed.wide): packed, _digest(packed.wide.T): packed}
    return known


def pack_(graph: onnx.GraphProto, storage: Storage) -> None:
    """Hold the matrices of `graph` that `storage` knows in few bits, and multiply with them so where that is fast."""
    if not storage.few_bits:  # spares hashing every matrix
        return
    for tensor in [one for one in graph.initializer if one.data_type == TensorProto.FLOAT and len(one.dims) == 2]:
        value = numpy_helper.to_array(tensor)
        rows = storage.few_bits.get(_digest(value))
        if rows is None:
            continue
        turned = not np.array_equal(value, rows.wide)
        in_int8 = storage.int8 and rows.layer not in storage.kept
        fast = storage.one_vector and (in_int8 or rows.bits == NIBBLE)
        readers = [node for node in graph.node if tensor.name in node.input]
        if fast and all(_looks_up(node, turned) or _multiplies(node, tensor.name, turned) for node in readers):
            _multiply_(graph, readers, rows, IN_INT8 if in_int8 else IN_FLOAT)
        elif not in_int8:
            _widen_(graph, tensor, rows, turned)
    drop_unread_(graph)


def _looks_up(node: onnx.NodeProto, turned: bool) -> bool:
    """True where `node` reads rows of a matrix, which may be `turned` around."""
    return node.op_type == "Gather" and not _set(node, "axis") and not turned


def _multiplies(node: onnx.NodeProto, name: str, turned: bool) -> bool:
    """True where `node` multiplies vectors with the rows of the matrix `name`, which may be `turned` around."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] != name or _set(node, "transA"):
        return False
    return turned != _set(node, "transB")


def _set(node: onnx.NodeProto, name: str) -> bool:
    return any(attribute.name == name and attribute.i for attribute in node.attribute)


def _multiply_(graph: onnx.GraphProto, readers: list[onnx.NodeProto], rows: PackedRows, accuracy: int) -> None:
    """Let `readers` of a matrix read whole numbers instead."""
    held = Graph(Storage(), f"{rows.layer}.{_digest(rows.wide)[:8]}.")
    numbers, scales = _numbers_and_scales(held, rows)
    if scales not in {name for node in graph.node for name in node.output}:  # turned around, it may stand there twice
        insert_(graph, 0, held)
    for node in readers:
        place, out = list(graph.node).index(node), Graph(Storage(), f"{node.output[0]}.")
        if node.op_type == "Gather":
            few, their_scales = (out.op("Gather", part, node.input[1], axis=0) for part in (numbers, scales))
            value = _widened(out, few, their_scales, rows)
        else:
            facts = {"K": rows.rows.length, "N": rows.rows.n, "bits": rows.bits, "block_size": rows.block}
            value = out.op(
                "MatMulNBits",
                *(node.input[0], numbers, scales),
                name=node.name,
                domain="com.microsoft",
                accuracy_level=accuracy,
                **facts,
            )
            value = out.op("Add", value, node.input[2]) if len(node.input) > 2 else value
        graph.node.remove(node)
        insert_(graph, place, out, {value: node.output[0]})


def _widen_(graph: onnx.GraphProto, tensor: onnx.TensorProto, rows: PackedRows, turned: bool) -> None:
    """Let the runtime make the matrix `tensor` of whole numbers, once, when it loads `graph`."""
    made = Graph(Storage(), f"{tensor.name}.")
    value = _widened(made, *_numbers_and_scales(made, rows), rows)
    value = made.op("Transpose", value, perm=[1, 0]) if turned else value
    graph.initializer.remove(tensor)
    insert_(graph, 0, made, {value: tensor.name})


def _numbers_and_scales(graph: Graph, rows: PackedRows) -> tuple[str, str]:
    """uint8 [n, blocks, bytes] and float32 [n, blocks]."""
    logarithms = graph.op("Cast", graph.constant(rows.scales, "uint8"), to=TensorProto.FLOAT)
    octaves = graph.op("Div", graph.op("Sub", logarithms, graph.constant(ONE)), graph.constant(OCTAVE))
    return _numbers(graph, rows), graph.op("Pow", graph.constant(2.0), octaves)


def _numbers(graph: Graph, rows: PackedRows) -> str:
    """uint8 [n, blocks, bytes], as they are multiplied."""
    if rows.bits == NIBBLE:
        return graph.constant(rows.lower, "uint8")
    if rows.bits_above == NIBBLE:
        return graph.constant(rows.numbers, "uint8")
    shape = graph.ints(*rows.numbers.shape)
    lower = _unpacked(graph, graph.constant(rows.lower, "uint8"), NIBBLE, shape)
    upper = graph.op("Cast", _unpacked(graph, graph.constant(rows.upper, "uint8"), rows.bits_above, shape), to=INT32)
    raised = graph.op("Cast", graph.op("Add", upper, graph.constant(rows.least_above, "int32")), to=UINT8)
    upper = graph.op("BitShift", raised, graph.constant(NIBBLE, "uint8"), direction="LEFT")
    return graph.op("BitwiseOr", lower, upper)


def _unpacked(graph: Graph, numbers: str, bits: int, shape: str) -> str:
    """uint8 of that `shape`: the `numbers` of so many bits, one in each byte."""
    parts = []
    for first in range(0, BYTE, bits):
        shifted = graph.op("BitShift", numbers, graph.constant(first, "uint8"), direction="RIGHT") if first else numbers
        low = graph.op("BitwiseAnd", shifted, graph.constant((1 << bits) - 1, "uint8"))
        parts.append(graph.op("Unsqueeze", low, graph.ints(-1)))
    return graph.op("Reshape", graph.op("Concat", *parts, axis=-1), shape)


def _widened(graph: Graph, numbers: str, scales: str, rows: PackedRows) -> str:
    """[..., length] of `numbers` [..., blocks, bytes] and `scales` [..., blocks]."""
    blocks = graph.op("Shape", scales)
    if rows.bits == NIBBLE:
        numbers = _unpacked(graph, numbers, NIBBLE, graph.op("Concat", blocks, graph.ints(rows.block), axis=0))
    weights = graph.op("Sub", graph.op("Cast", numbers, to=TensorProto.FLOAT), graph.constant(float(rows.zero)))
    weights = graph.op("Mul", weights, graph.op("Unsqueeze", scales, graph.ints(-1)))
    before = graph.op("Slice", blocks, graph.ints(0), graph.ints(-1))
    row = graph.op("Reshape", weights, graph.op("Concat", before, graph.ints(rows.n_blocks * rows.block), axis=0))
    return graph.op("Slice", row, graph.ints(0), graph.ints(rows.rows.length), graph.ints(-1))


def insert_(graph: onnx.GraphProto, place: int, made: Graph, names: dict[str, str] | None = None) -> None:
    """Add what was `made` to `graph` at that place among its nodes, its values renamed as in `names`."""
    body = made.body()
    graph.initializer.extend(body.initializer)
    for i, node in enumerate(body.node):
        node.output[:] = [(names or {}).get(name, name) for name in node.output]
        graph.node.insert(place + i, node)


def _digest(value: np.ndarray) -> str:
    unsigned = value + 0.0  # what is rounded to 0 from below is -0
    return hashlib.sha256(repr(value.shape).encode() + unsigned.tobytes()).hexdigest()
