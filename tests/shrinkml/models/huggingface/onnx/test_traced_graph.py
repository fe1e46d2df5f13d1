"""Tracing of tiny modules."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.errors import ExportError
from shrinkml.export.graph import THIN, Storage, as_model
from shrinkml.export.int8.int8_graph import write_int8
from shrinkml.models.huggingface.onnx.traced_graph import layers_of, store_, trace


class Wide(nn.Module):
    """A thin matrix and one that is left to the quantizer."""

    def __init__(self):
        super().__init__()
        self.thin, self.thick = nn.Linear(8, 300, bias=False), nn.Linear(300, 300, bias=False)

    def forward(self, values):
        return self.thick(self.thin(values))


class Tied(nn.Module):
    """A table that is read, and multiplied with; and one more that is only added."""

    def __init__(self, n, dims):
        super().__init__()
        self.table = nn.Embedding(n, dims)
        self.places = nn.Parameter(torch.randn(n, dims))

    def forward(self, values):
        return nn.functional.linear(self.table(values)[:, 0] + self.places[0], self.table.weight) + self.places.sum()


class Undecided(nn.Module):
    """What it does depends on what it hears."""

    def forward(self, values):
        return values if values.sum() > 0 else -values


@pytest.mark.parametrize(
    ("storage", "bits", "tolerance"),
    [(Storage(), (32, 32), 1e-5), (Storage(half=True), (16, 16), 1e-5), (Storage(int8=True), (8, 32), 0.05)],
    ids=["float", "half", "int8"],
)
def test_weights_are_stored_as_asked_and_computed_with_alike(storage, bits, tolerance):
    torch.manual_seed(0)
    module = Wide().half().float()
    values = torch.randn(2, 5, 8)
    graph = trace(module, {"values": values}, ("out",))
    store_(graph, storage)
    sizes = {tuple(tensor.dims): 8 * len(tensor.raw_data) // int(np.prod(tensor.dims)) for tensor in graph.initializer}
    assert (sizes[8, 300], sizes[300, 300]) == bits
    assert 8 * 300 < THIN <= 300 * 300
    values = torch.randn(3, 7, 8)  # another batch and time than it was traced with
    (found,) = onnxruntime.InferenceSession(as_model(graph).SerializeToString()).run(None, {"values": values.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, module(values).numpy(), atol=tolerance)


def test_what_torch_cannot_trace_is_refused():
    with pytest.raises(ExportError, match="torch's exporter cannot trace this network: "):
        trace(Undecided(), {"values": torch.ones(2, 5, 8)}, ("out",))


@pytest.mark.parametrize(("n", "dims"), [(400, 200), (20, 8)], ids=["thick", "few"])
def test_a_tied_table_is_stored_once_in_float_and_in_int8(n, dims, tmp_path):
    torch.manual_seed(0)
    module, values = Tied(n, dims), torch.tensor([[3, 1], [7, 2]])
    with torch.no_grad():
        expected = module(values).numpy()
    graph = trace(module, {"values": values}, ("out",))
    plain = copy.deepcopy(graph)
    store_(plain, Storage())
    onnx.save(as_model(plain), tmp_path / "float.onnx")
    store_(graph, Storage(int8=True))
    write_int8(as_model(graph), tmp_path / "int8.onnx", frozenset())
    for path, tolerance in ((tmp_path / "float.onnx", 1e-5), (tmp_path / "int8.onnx", 0.05)):
        (found,) = onnxruntime.InferenceSession(path).run(None, {"values": values.numpy()})
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    assert (tmp_path / "float.onnx").stat().st_size < 2.1 * 4 * n * dims + 4000
    assert (tmp_path / "int8.onnx").stat().st_size < 2.1 * n * dims + 4 * n + 4000  # and a scale for each row


def test_kept_layers_stay_as_they_are(tmp_path):
    """A large table that is read and multiplied with: int8 would round what is beside its huge weights to nothing."""
    torch.manual_seed(0)
    n, dims = 400, 200
    module, values = Tied(n, dims).half().float(), torch.tensor([[3, 1], [7, 2]])
    with torch.no_grad():
        module.table.weight[:, 5] = 1000.0
        expected = module(values).numpy()
    graph = trace(module, {"values": values}, ("out",))
    kept = frozenset(layers_of(graph))
    assert kept == {"table.weight", "places"}

    def error_and_bytes(storage):
        stored, path = copy.deepcopy(graph), tmp_path / "one.onnx"
        store_(stored, storage)
        write_int8(as_model(stored), path, storage.kept)
        (found,) = onnxruntime.InferenceSession(path).run(None, {"values": values.numpy()})
        return np.abs(found - expected).max() / np.ptp(expected), path.stat().st_size

    assert error_and_bytes(Storage(int8=True))[0] > 1
    for half in (False, True):
        error, n_bytes = error_and_bytes(Storage(half, int8=True, kept=kept))
        assert error < 0.01  # float32's, of scores around a million
        assert n_bytes < (2 if half else 4) * 2 * n * dims + 4000  # each of both once


def test_a_graph_that_no_file_can_hold_is_refused(monkeypatch):
    monkeypatch.setattr("shrinkml.export.graph.MOST_BYTES", 1000)
    network = trace(Wide(), {"values": torch.ones(2, 5, 8)}, ("out",))
    with pytest.raises(ExportError, match=r"a graph of 369,\d+ bytes; an ONNX file holds at most 1,000: compress it"):
        as_model(network)
