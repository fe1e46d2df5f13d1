"""The blocks of a Transformer as ONNX operators."""

import math

from onnx import TensorProto

from shrinkml.activations.places import rounds
from shrinkml.export.graph import Graph
from shrinkml.export.integers.rounding_nodes import divisor, rounded, rounded_weight
from shrinkml.export.layer_graph import array, layer_norm, linear
from shrinkml.models.transformer.feed_forward import OUTPUT, FeedForward
from shrinkml.models.transformer.memory_block import FILTERED, MemoryBlock
from shrinkml.models.transformer.multi_head import (
    DENOMINATOR,
    KEY,
    NUMERATOR,
    QUERY,
    SHARES,
    VALUE,
    MultiHead,
)
from shrinkml.models.transformer.norm import CENTRED, QUOTIENT, ROOT, Norm
from shrinkml.models.transformer.sinusoids import rates

KnownNames = tuple[str, str]  # keys and values [batch, heads, steps, hidden / heads]


def remember(graph: Graph, states: str, attention: MultiHead, name: str) -> KnownNames:
    """Keys and values of `states` [batch, steps, hidden]."""
    key = linear(graph, states, attention.key, f"{name}.key")
    value = linear(graph, states, attention.value, f"{name}.value")
    keys, values = (_split(graph, known, attention.heads) for known in (key, value))
    return rounded(graph, keys, attention, KEY), rounded(graph, values, attention, VALUE)


def attend(
    graph: Graph, asking: str, known: KnownNames, attention: MultiHead, name: str, inside: str | None = None
) -> str:
    """[batch, steps, hidden]: what `asking` finds in what is `known`, of which those `inside` [batch, steps] count."""
    query = _split(graph, linear(graph, asking, attention.query, f"{name}.query"), attention.heads)
    keys, values = known
    scale = graph.constant(1 / math.sqrt(attention.query.out_features // attention.heads))
    turned = rounded(graph, graph.op("Transpose", keys, perm=[0, 1, 3, 2]), attention, KEY)
    if rounds(attention):  # the scale comes behind the product of whole numbers
        scores = graph.op("Mul", graph.op("MatMul", rounded(graph, query, attention, QUERY), turned), scale)
    else:
        scores = graph.op("MatMul", graph.op("Mul", query, scale), turned)
    if inside is not None:
        spread = graph.op("Unsqueeze", inside, graph.ints(1, 2))
        scores = graph.op("Where", spread, scores, graph.constant(-math.inf))
    shares = _softmax(graph, scores, attention)
    found = graph.op("MatMul", shares, rounded(graph, values, attention, VALUE))
    return linear(graph, joined(graph, found), attention.out, f"{name}.out")


def _softmax(graph: Graph, scores: str, attention: MultiHead) -> str:
    """The shares of all steps in what is found, rounded step by step where `attention` rounds."""
    if not rounds(attention):
        return graph.op("Softmax", scores, axis=-1)
    most = graph.op("ReduceMax", scores, graph.ints(-1), keepdims=1)
    numerators = rounded(graph, graph.op("Exp", graph.op("Sub", scores, most)), attention, NUMERATOR)
    total = graph.op("ReduceSum", numerators, graph.ints(-1), keepdims=1)
    shares = graph.op("Div", numerators, divisor(graph, total, attention, DENOMINATOR))
    return rounded(graph, shares, attention, SHARES)


def norm(graph: Graph, x: str, module: Norm) -> str:
    """`x` [..., units] normalised, rounded step by step where `module` rounds."""
    if not rounds(module):
        return layer_norm(graph, x, module)
    centred = rounded(graph, graph.op("Sub", x, _mean(graph, x)), module, CENTRED)
    variance = _mean(graph, graph.op("Mul", centred, centred))
    root = graph.op("Sqrt", graph.op("Add", variance, graph.constant(module.eps)))
    quotient = rounded(graph, graph.op("Div", centred, divisor(graph, root, module, ROOT)), module, QUOTIENT)
    scaled = graph.op("Mul", quotient, rounded_weight(graph, module, module.weight[None]))
    return graph.op("Add", scaled, graph.weight(array(module.bias)))


def _mean(graph: Graph, x: str) -> str:
    return graph.op("ReduceMean", x, graph.ints(-1), keepdims=1)


def feed_forward(graph: Graph, states: str, block: FeedForward, name: str) -> str:
    """[..., hidden] to [..., hidden]."""
    inner = graph.op("Relu", linear(graph, states, block.inner, f"{name}.inner"))
    return rounded(graph, linear(graph, inner, block.outer, f"{name}.outer"), block, OUTPUT)


def memory_block(graph: Graph, values: str, inside: str, block: MemoryBlock) -> str:
    """[batch, steps, hidden] of `values` [batch, steps, hidden], of which those `inside` [batch, steps] count."""
    kernel, taps = rounded_weight(graph, block, block.filter.weight), block.filter.kernel_size[0]
    turned = graph.op("Transpose", only(graph, values, inside), perm=[0, 2, 1])
    turned, pads = rounded(graph, turned, block, FILTERED), [taps // 2, taps // 2]
    filtered = graph.op("Conv", turned, kernel, group=block.filter.groups, kernel_shape=[taps], pads=pads)
    return graph.op("Transpose", graph.op("Add", turned, filtered), perm=[0, 2, 1])


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
