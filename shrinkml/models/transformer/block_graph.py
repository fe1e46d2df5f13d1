"""The blocks of a Transformer as ONNX operators."""

import math

from onnx import TensorProto

from shrinkml.export.graph import Graph
from shrinkml.export.layer_graph import array, linear
from shrinkml.models.transformer.feed_forward import FeedForward
from shrinkml.models.transformer.memory_block import MemoryBlock
from shrinkml.models.transformer.multi_head import MultiHead
from shrinkml.models.transformer.sinusoids import rates

KnownNames = tuple[str, str]  # keys and values [batch, heads, steps, hidden / heads]


def remember(graph: Graph, states: str, attention: MultiHead, name: str) -> KnownNames:
    """Keys and values of `states` [batch, steps, hidden]."""
    key = linear(graph, states, attention.key, f"{name}.key")
    value = linear(graph, states, attention.value, f"{name}.value")
    return _split(graph, key, attention.heads), _split(graph, value, attention.heads)


def attend(
    graph: Graph, asking: str, known: KnownNames, attention: MultiHead, name: str, inside: str | None = None
) -> str:
    """[batch, steps, hidden]: what `asking` finds in what is `known`, of which those `inside` [batch, steps] count."""
    query = _split(graph, linear(graph, asking, attention.query, f"{name}.query"), attention.heads)
    keys, values = known
    scale = graph.constant(1 / math.sqrt(attention.query.out_features // attention.heads))
    scores = graph.op("MatMul", graph.op("Mul", query, scale), graph.op("Transpose", keys, perm=[0, 1, 3, 2]))
    if inside is not None:
        spread = graph.op("Unsqueeze", inside, graph.ints(1, 2))
        scores = graph.op("Where", spread, scores, graph.constant(-math.inf))
    found = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), values)
    return linear(graph, joined(graph, found), attention.out, f"{name}.out")


def feed_forward(graph: Graph, states: str, block: FeedForward, name: str) -> str:
    """[..., hidden] to [..., hidden]."""
    inner = graph.op("Relu", linear(graph, states, block.inner, f"{name}.inner"))
    return linear(graph, inner, block.outer, f"{name}.outer")


def memory_block(graph: Graph, values: str, inside: str, block: MemoryBlock) -> str:
    """[batch, steps, hidden] of `values` [batch, steps, hidden], of which those `inside` [batch, steps] count."""
    values = only(graph, values, inside)
    kernel, taps = graph.weight(array(block.filter.weight)), block.filter.kernel_size[0]
    turned = graph.op("Transpose", values, perm=[0, 2, 1])
    pads = [taps // 2, taps // 2]
    filtered = graph.op("Conv", turned, kernel, group=block.filter.groups, kernel_shape=[taps], pads=pads)
    return graph.op("Add", values, graph.op("Transpose", filtered, perm=[0, 2, 1]))


def with_positions(graph: Graph, states: str, hidden: int, first: str | None = None) -> str:
    """`states` [batch, steps, hidden] and the positions of their steps, counted from `first` [1]."""
    steps = graph.count(graph.size(states, 1))
    if first is not None:
        steps = graph.op("Add", steps, first)
    steps = graph.op("Unsqueeze", graph.op("Cast", steps, to=TensorProto.FLOAT), graph.ints(1))
    angles = graph.op("Mul", steps, graph.constant(rates(hidden)))
    waves = graph.op("Concat", graph.op("Sin", angles), graph.op("Cos", angles), axis=1)
    return graph.op("Add", states, waves)


def within(graph: Graph, counts: str, like: str) -> str:
    """[batch, steps]: true at the first `counts` [batch] steps of `like` [batch, steps, units]."""
    return graph.op("Less", graph.count(graph.size(like, 1)), graph.op("Unsqueeze", counts, graph.ints(1)))


def only(graph: Graph, states: str, inside: str) -> str:
    """`states` [batch, steps, units], zero but `inside` [batch, steps]."""
    return graph.op("Where", graph.op("Unsqueeze", inside, graph.ints(2)), states, graph.constant(0.0))


def joined(graph: Graph, heads: str) -> str:
    """[batch, heads, steps, size] to [batch, steps, heads * size]."""
    return graph.op("Reshape", graph.op("Transpose", heads, perm=[0, 2, 1, 3]), graph.ints(0, 0, -1))


def _split(graph: Graph, x: str, heads: int) -> str:
    """[batch, steps, hidden] to [batch, heads, steps, hidden / heads]."""
    return graph.op("Transpose", graph.op("Reshape", x, graph.ints(0, 0, heads, -1)), perm=[0, 2, 1, 3])
