"""Tables that are read and multiplied with, in graphs written by hand."""

import numpy as np
import onnx
import onnxruntime
import pytest

from shrinkml.export.graph import Graph, Storage, as_model
from shrinkml.export.int8.int8_graph import write_int8
from shrinkml.export.int8.tied_tables import share_int8_, tie_, tied_nodes

N, DIMS = 400, 200
TOKENS = np.array([[3, 1, 399]])


def tied(product):
    """A table whose rows are read, their sum multiplied with it by `product`, which turns it in its own way."""
    graph = Graph(Storage())
    tokens = graph.input("tokens", ("batch", "n"), "int64")
    table = graph.constant(np.random.default_rng(0).normal(size=(N, DIMS)).astype(np.float32))
    total = graph.op("ReduceSum", graph.op("Gather", table, tokens, name="read"), graph.ints(1), keepdims=0)
    graph.output(product(graph, total, table), "scores", ("batch", N))
    return graph.body()


def gemm(graph, x, table):
    return graph.op("Gemm", x, table, transB=1)


def transposed(graph, x, table):
    return graph.op("MatMul", x, graph.op("Transpose", table, perm=[1, 0]))


def scores(graph):
    session = onnxruntime.InferenceSession(as_model(graph).SerializeToString())
    return session.run(None, {"tokens": TOKENS})[0]


@pytest.mark.parametrize("product", [gemm, transposed])
@pytest.mark.parametrize("turn", [True, False])
def test_the_table_is_held_once_and_what_is_computed_stays_the_same(product, turn):
    graph = tied(product)
    expected = scores(graph)
    tie_(graph, 1000, turn=lambda _: turn)
    np.testing.assert_allclose(scores(graph), expected, atol=1e-4)
    assert [list(t.dims) for t in graph.initializer if np.prod(t.dims) > 1000] in ([[N, DIMS]], [[DIMS, N]])


@pytest.mark.parametrize("product", [gemm, transposed])
def test_in_int8_the_rows_that_are_read_are_those_that_the_product_takes(product, tmp_path):
    graph = tied(product)
    expected = scores(graph)
    tie_(graph, 1000, turn=lambda _: True)
    assert len(tied_nodes(graph)) == 1
    write_int8(as_model(graph), tmp_path / "int8.onnx", frozenset())
    assert (tmp_path / "int8.onnx").stat().st_size < 1.1 * N * DIMS + 4 * N
    found = scores(onnx.load(tmp_path / "int8.onnx").graph)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_a_small_table_stays_as_it_is_and_what_the_quantizer_left_is_not_touched():
    graph = tied(gemm)
    before = graph.SerializeToString()
    tie_(graph, N * DIMS + 1, turn=lambda _: True)
    share_int8_(graph)
    assert graph.SerializeToString() == before
