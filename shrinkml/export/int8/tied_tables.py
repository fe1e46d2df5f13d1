"""Tables that are read and multiplied with, as tied embeddings are: held once, turned as the product wants them.

A token's vector is then a column, read with one stride per dimension: nothing beside the product. In int8 column and
product share one scale per token.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TIED = "tied."  # prefix of the names of nodes that read a table which a product owns


def tie_(graph: onnx.GraphProto, least: int, turn: Callable[[TensorProto], bool]) -> None:
    """Holds each table once that `graph` reads by rows and multiplies with.

    Args:
        graph: traced.
        least: weights; smaller matrices stay as they are.
        turn: True for a matrix that a product is to hold turned, whatever else reads it, instead of turning it itself:
            the quantizer would turn it for all, or not see it.
    """
    held = {tensor.name: tensor for tensor in graph.initializer if np.prod(tensor.dims) >= least}
    tables = {node.input[0] for node in graph.node if _reads_rows(node)}
    for node in list(graph.node):
        matrix = held.get(_turned_by(node))
        if matrix is not None and (turn(matrix) or (node.op_type == "Transpose" and matrix.name in tables)):
            held.setdefault(f"{matrix.name}.turned", _own_(graph, node, matrix))
    for node in [node for node in graph.node if _reads_rows(node) and node.input[0] in held]:
        turned = _turned(graph, held, held[node.input[0]])
        if turned is not None:
            _read_columns_(graph, node, turned, int(held[node.input[0]].dims[1]))
    drop_unread_(graph)


def tied_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes of `graph` that read a table which a product owns."""
    return [node.name for node in graph.node if node.name.startswith(TIED)]


def share_int8_(graph: onnx.GraphProto) -> None:
    """Reads those tables as int8 that the quantizer made of them for their products."""
    held = {tensor.name for tensor in graph.initializer}
    for node in [node for node in graph.node if node.name.startswith(TIED)]:
        table = node.input[0]
        narrow, scale = f"{table}_quantized", f"{table}_scale"
        if narrow not in held or scale not in held:
            continue
        place, out = list(graph.node).index(node), node.output[0]
        names = [f"{node.name}.{part}" for part in ("narrow", "wide", "scale")]
        nodes = [
            helper.make_node("Gather", [narrow, node.input[1]], [names[0]], axis=1),
            helper.make_node("Cast", [names[0]], [names[1]], to=TensorProto.FLOAT),
            helper.make_node("Gather", [scale, node.input[1]], [names[2]], axis=0),
            helper.make_node("Mul", [names[1], names[2]], [out]),
        ]
        graph.node.remove(node)
        for i, new in enumerate(nodes):
            graph.node.insert(place + i, new)
    drop_unread_(graph)


def drop_unread_(graph: onnx.GraphProto) -> None:
    """Forgets the constants that no node of `graph` reads."""
    read = {name for node in graph.node for name in node.input} | {out.name for out in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        if not any(_body_reads(node, tensor.name) for node in graph.node):
            graph.initializer.remove(tensor)


def _reads_rows(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gather" and not next((one.i for one in node.attribute if one.name == "axis"), 0)


def _turned_by(node: onnx.NodeProto) -> str:
    """The name of the matrix that `node` turns; "" where it turns none."""
    if node.op_type == "Transpose" and [*node.attribute[0].ints] == [1, 0]:
        return str(node.input[0])
    turns = node.op_type == "Gemm" and any(one.name == "transB" and one.i for one in node.attribute)
    return str(node.input[1]) if turns else ""


def _own_(graph: onnx.GraphProto, node: onnx.NodeProto, matrix: TensorProto) -> TensorProto:
    """Gives what `node` turns a matrix of its own, `matrix` turned, and returns that."""
    own = numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(matrix).T), f"{matrix.name}.turned")
    own.doc_string = matrix.doc_string
    if own.name not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(own)
    if node.op_type == "Gemm":
        node.input[1] = own.name
        kept = [attribute for attribute in node.attribute if attribute.name != "transB"]
        del node.attribute[:]
        node.attribute.extend(kept)
        return own
    for reader in graph.node:
        for i, name in enumerate(reader.input):
            if name == node.output[0]:
                reader.input[i] = own.name
    graph.node.remove(node)
    return own


def _turned(graph: onnx.GraphProto, held: Mapping[str, TensorProto], table: TensorProto) -> str | None:
    """The name of the turned `table` that a product of `graph` takes; None where none does."""
    products = (node for node in graph.node if node.op_type in ("MatMul", "Gemm") and not _turned_by(node))
    taken = (str(node.input[1]) for node in products if node.input[1] in held)
    return next((name for name in taken if _is_turned(held[name], table)), None)


def _read_columns_(graph: onnx.GraphProto, node: onnx.NodeProto, turned: str, dims: int) -> None:
    """Makes `node`, which reads rows of a table [n, dims], read columns of the `turned` one [dims, n]."""
    place, tokens, out = list(graph.node).index(node), node.input[1], node.output[0]
    stem = f"{TIED}{out}"
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), f"{stem}.flat"))
    graph.initializer.append(numpy_helper.from_array(np.array([dims], np.int64), f"{stem}.dims"))
    nodes = [
        helper.make_node("Reshape", [tokens, f"{stem}.flat"], [f"{stem}.tokens"]),
        helper.make_node("Gather", [turned, f"{stem}.tokens"], [f"{stem}.columns"], name=stem, axis=1),
        helper.make_node("Transpose", [f"{stem}.columns"], [f"{stem}.rows"], perm=[1, 0]),
        helper.make_node("Shape", [tokens], [f"{stem}.shape"]),
        helper.make_node("Concat", [f"{stem}.shape", f"{stem}.dims"], [f"{stem}.whole"], axis=0),
        helper.make_node("Reshape", [f"{stem}.rows", f"{stem}.whole"], [out]),
    ]
    graph.node.remove(node)
    for i, new in enumerate(nodes):
        graph.node.insert(place + i, new)


def _is_turned(one: TensorProto, other: TensorProto) -> bool:
    if list(one.dims) != list(other.dims)[::-1] or one.data_type != other.data_type:
        return False
    return np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other).T)


def _body_reads(node: onnx.NodeProto, name: str) -> bool:
    bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return any(name in inner.input or _body_reads(inner, name) for body in bodies for inner in body.node)
