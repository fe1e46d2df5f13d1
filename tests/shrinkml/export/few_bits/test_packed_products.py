from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.surgery import widen
from shrinkml.export.few_bits.packed_products import few_bits_of, pack_
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.layer_graph import embedding, linear
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

LAYER = "1.weight"
ONE_VECTOR = Storage(one_vector=True)


class Tied(nn.Sequential):
    """A table of 300 vectors of 260 numbers that are read, and multiplied with what was read."""

    def __init__(self) -> None:
        super().__init__(nn.Embedding(300, 260), nn.Linear(260, 300))
        self[1].weight = self[0].weight


@pytest.fixture
def tied():
    torch.manual_seed(0)
    return Tied()


def under(model, **choice):
    """`model` with its matrix under that choice."""
    (layer,) = decompose(model)
    return factorize(model, CompressionPlan({layer: Choice(**choice)}), decompose(model))


def drawn(model, storage):
    """The graph of `model`, its matrix in few bits, and what was made of it in the runtime."""
    wide, graph = widen(model), Graph(storage)
    tokens = graph.input("tokens", ("batch", "n"), "int64")
    read = embedding(graph, tokens, wide[0], "0")
    graph.output(linear(graph, read, wide[1], "1"), "scores", ("batch", "n", 300))
    made = graph.model()
    pack_(made.graph, replace(storage, few_bits=few_bits_of(model)))
    onnx.checker.check_model(made)
    return made


def scores(graph, tokens):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"tokens": tokens})[0]


TOKENS = np.array([[0, 7, 299], [5, 5, 150]])


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("storage", [ONE_VECTOR, Storage()])
def test_the_graph_computes_what_the_model_does(tied, bits, storage):
    small = under(tied, bits=bits)
    found = scores(drawn(small, storage), TOKENS)
    np.testing.assert_allclose(found, small(torch.from_numpy(TOKENS)).detach().numpy(), atol=2e-3)


def test_products_in_int8_come_close(tied):
    small = under(tied, bits=4)
    found = scores(drawn(small, Storage(int8=True, one_vector=True)), TOKENS)
    expected = small(torch.from_numpy(TOKENS)).detach().numpy()
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize(("bits", "held"), [(2, 4), (4, 4), (5, 5), (6, 6), (8, 8)])
def test_the_matrix_is_held_once_in_its_bits(tied, bits, held):
    for storage in (replace(ONE_VECTOR, int8=True), Storage()):
        graph = drawn(under(tied, bits=bits), storage)
        n_times = (
            2 if storage == Storage() else 1
        )  # without a product of its own each reader has the matrix that it asked for
        n_bytes = 300 * 260 * held / 8
        assert n_bytes * n_times < len(graph.SerializeToString()) < 1.4 * n_bytes * n_times + 8000


def operators(graph):
    return [node.op_type for node in graph.graph.node]


def test_where_many_vectors_are_multiplied_at_once_the_matrix_is_widened_when_the_graph_is_loaded(tied):
    assert "MatMulNBits" in operators(drawn(under(tied, bits=4), ONE_VECTOR))
    assert "MatMulNBits" not in operators(drawn(under(tied, bits=4), Storage()))


def test_eight_bits_are_multiplied_as_they_are_in_int8_alone(tied):
    assert "MatMulNBits" not in operators(drawn(under(tied, bits=8), ONE_VECTOR))
    assert "MatMulNBits" in operators(drawn(under(tied, bits=8), replace(ONE_VECTOR, int8=True)))


def test_a_layer_that_int8_would_harm_is_multiplied_in_float(tied):
    (layer,) = decompose(tied)
    storage = Storage(int8=True, one_vector=True, kept=frozenset({layer}))
    (product,) = (node for node in drawn(under(tied, bits=4), storage).graph.node if node.op_type == "MatMulNBits")
    assert {one.name: one.i for one in product.attribute if one.name == "accuracy_level"} == {"accuracy_level": 0}


def test_the_first_factor_of_a_rank_is_held_in_few_bits_too():
    torch.manual_seed(0)
    model = Tied()
    model[0], model[1] = nn.Embedding(300, 600), nn.Linear(600, 300)
    decomposed = decompose(model)
    small = factorize(model, CompressionPlan({"1.weight": Choice(rank=150, bits=4)}), decomposed)
    (rows,) = {id(rows): rows for rows in few_bits_of(small).values()}.values()
    assert (rows.layer, rows.rows.n, rows.rows.length) == ("1.weight", 150, 600)


def test_a_model_without_few_bits_has_none(tied):
    assert few_bits_of(tied) == {}
    assert few_bits_of(under(tied, rank=20)) == {}
