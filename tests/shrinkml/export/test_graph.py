import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from shrinkml.errors import ExportError
from shrinkml.export import graph as graphs
from shrinkml.export.graph import THIN, Graph, Storage, as_model, half_of, int8_of


def run(graph, **inputs):
    session = onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def stored(graph):
    """What the constants of `graph` are stored as."""
    return {numpy_helper.to_array(tensor).dtype.name for tensor in graph.body().initializer}


def product(storage, weight, layer="layer"):
    graph = Graph(storage)
    x = graph.input("x", ("batch", weight.shape[0]))
    graph.output(graph.op("MatMul", x, graph.weight(weight, layer)), "y", ("batch", weight.shape[1]))
    return graph


def test_a_graph_grows_by_an_operator_per_call():
    graph = Graph(Storage())
    x = graph.input("x", ("batch", 2))
    graph.output(graph.op("Add", x, graph.constant([1.0, 2.0])), "y", ("batch", 2))
    np.testing.assert_array_equal(run(graph, x=np.zeros((3, 2), np.float32))[0], [[1, 2]] * 3)


def test_a_layer_that_is_written_twice_is_stored_once_under_two_names():
    graph, weight = Graph(Storage()), np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    x = graph.input("x", ("batch", 3))
    for layer in ("one", "one", "other"):
        x = graph.op("MatMul", x, graph.weight(weight, layer), name=layer)
    graph.output(x, "y", ("batch", 3))
    names = [node.name for node in graph.body().node if node.op_type == "MatMul"]
    assert names == ["one", "one@2", "other"]
    assert len(graph.body().initializer) == 2
    ones = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(run(graph, x=ones)[0], ones @ weight @ weight @ weight, rtol=1e-5)


def test_a_layer_of_several_matrices_stores_each():
    graph = Graph(Storage())
    graph.weight(np.ones((2, 3), np.float32), "layer")
    graph.weight(np.ones((3, 2), np.float32), "layer")
    graph.weight(np.zeros((3, 2), np.float32), "layer")
    assert len(graph.body().initializer) == 3


def test_sizes_and_counts_are_known_only_when_it_runs():
    graph = Graph(Storage())
    x = graph.input("x", ("batch", "time"))
    graph.output(graph.count(graph.size(x, 1)), "n", ("time",), "int64")
    assert run(graph, x=np.zeros((1, 4), np.float32))[0].tolist() == [0, 1, 2, 3]


def test_weights_that_float16_holds_exactly_are_stored_so():
    assert half_of(np.array([0.5, 2.0], np.float32)).dtype == np.float16
    assert half_of(np.array([0.1], np.float32)) is None
    assert half_of(np.array([1e6], np.float32)) is None
    weight = np.ones((4, 2), np.float32)
    assert stored(product(Storage(half=True), weight)) == {"float16"}
    assert stored(product(Storage(), weight)) == {"float32"}


def test_int8_is_within_half_a_step_of_each_row_of_the_shorter_side():
    weight = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    integers, scale = int8_of(weight)
    assert integers.dtype == np.int8
    assert scale.shape == (6, 1)
    assert (np.abs(integers * scale - weight) <= scale / 2 + 1e-6).all()
    assert int8_of(weight.T)[1].shape == (1, 6)
    assert int8_of(np.zeros((2, 3, 4), np.float32))[1].shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("storage", "dtypes"),
    [
        (Storage(int8=True), {"int8", "float32"}),  # with its scale
        (Storage(int8=True, kept=frozenset({"layer"})), {"float32"}),
    ],
)
def test_a_thin_matrix_is_int8_unless_its_layer_is_kept(storage, dtypes):
    weight = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    graph = product(storage, weight)
    assert stored(graph) == dtypes
    x = np.eye(8, dtype=np.float32)
    np.testing.assert_allclose(run(graph, x=x)[0], weight, atol=np.abs(weight).max() / 100)


def test_a_large_matrix_is_left_to_the_runtimes_quantizer():
    weight = np.random.default_rng(0).normal(size=(THIN // 8, 8)).astype(np.float32)
    assert stored(product(Storage(int8=True), weight)) == {"float32"}


def test_names_of_a_body_never_hide_its_owners():
    assert Graph(Storage(), "inner.").constant(1.0).startswith("inner.")


def test_a_graph_that_is_too_large_for_a_file_is_refused(monkeypatch):
    graph = product(Storage(), np.ones((8, 4), np.float32))
    monkeypatch.setattr(graphs, "MOST_BYTES", 10)
    with pytest.raises(ExportError, match=r"a graph of \d+ bytes; an ONNX file holds at most 10: compress it further"):
        as_model(graph.body())


def test_a_graph_that_is_none_is_found_before_it_is_written():
    graph = Graph(Storage())
    graph.output("nowhere", "y", (1,))
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        graph.model()
