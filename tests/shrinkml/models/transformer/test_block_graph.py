"""The blocks as ONNX operators; the oracle is the block in torch."""

import numpy as np
import onnxruntime
import pytest
import torch

from shrinkml.export.graph import Graph, Storage
from shrinkml.models.transformer.block_graph import (
    attend,
    feed_forward,
    joined,
    memory_block,
    only,
    remember,
    with_positions,
    within,
)
from shrinkml.models.transformer.feed_forward import FeedForward
from shrinkml.models.transformer.memory_block import MemoryBlock
from shrinkml.models.transformer.multi_head import MultiHead
from shrinkml.models.transformer.sinusoids import sinusoids

STATES = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
COUNTS = torch.tensor([5, 3])
INSIDE = torch.arange(5) < COUNTS[:, None]


def run(write):
    """What `write` makes of STATES and COUNTS in a graph."""
    graph = Graph(Storage())
    states = graph.input("states", ("batch", "steps", 8))
    counts = graph.input("counts", ("batch",), "int64")
    graph.output(write(graph, states, counts), "y", ("batch", "steps", 8))
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())
    return torch.from_numpy(session.run(None, {"states": STATES.numpy(), "counts": COUNTS.numpy()})[0])


@torch.no_grad()
@pytest.mark.parametrize("masked", [True, False])
def test_attention_finds_what_torchs_finds(masked):
    attention = MultiHead(8, 2)

    def write(graph, states, counts):
        known = remember(graph, states, attention, "attention")
        return attend(graph, states, known, attention, "attention", within(graph, counts, states) if masked else None)

    expected = attention(STATES, attention.remember(STATES), INSIDE[:, None, None] if masked else None)
    torch.testing.assert_close(run(write), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_memory_block_filters_as_torchs():
    block = MemoryBlock(8, 3)
    found = run(lambda graph, states, counts: memory_block(graph, states, within(graph, counts, states), block))
    torch.testing.assert_close(found, block(STATES, INSIDE), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_feed_forward_block_computes_as_torchs():
    block = FeedForward(8, 12, 0.0)
    found = run(lambda graph, states, counts: feed_forward(graph, states, block, "block"))
    torch.testing.assert_close(found, block(STATES), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("first", [0, 7])
def test_positions_are_torchs(first):
    found = run(lambda graph, states, counts: with_positions(graph, states, 8, graph.ints(first)))
    torch.testing.assert_close(found, STATES + sinusoids(STATES, first), atol=1e-6, rtol=0)
    if not first:
        again = run(lambda graph, states, counts: with_positions(graph, states, 8))
        assert torch.equal(found, again)


def test_steps_behind_the_end_are_zero():
    found = run(lambda graph, states, counts: only(graph, states, within(graph, counts, states)))
    assert torch.equal(found, STATES * INSIDE[..., None])


def test_heads_are_joined_as_they_were_split():
    attention = MultiHead(8, 2)
    found = run(lambda graph, states, _: joined(graph, remember(graph, states, attention, "attention")[1]))
    np.testing.assert_allclose(found, attention.value(STATES).detach(), atol=1e-5)
