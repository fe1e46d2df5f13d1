"""Tracing of tiny modules."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.errors import ExportError
from shrinkml.export.graph import THIN, Storage, as_model
from shrinkml.export.int8 import write_int8
from shrinkml.export.traced import store_, trace


class Wide(nn.Module):
    """A thin matrix and one that is left to the quantizer."""

    def __init__(self):
        super().__init__()
        self.thin, self.thick = nn.Linear(8, 300, bias=False), nn.Linear(300, 300, bias=False)

    def forward(self, values):
        return self.thick(self.thin(values))


class Tied(nn.Module):
    """A table that is read, and multiplied with: thick, and one more that is only added."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(400, 200)
        self.places = nn.Parameter(torch.randn(400, 200))

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


def test_a_tied_table_is_stored_once_and_right_in_int8_too(tmp_path):
    torch.manual_seed(0)
    module, values = Tied(), torch.tensor([[3, 1], [7, 2]])
    with torch.no_grad():
        expected = module(values).numpy()
    sizes = {}
    for storage in (Storage(), Storage(int8=True)):
        graph = trace(module, {"values": values}, ("out",))
        store_(graph, storage)
        if storage.int8:
            write_int8(as_model(graph), tmp_path / "int8.onnx", frozenset())
        else:
            onnx.save(as_model(graph), tmp_path / "float.onnx")
        name = "int8" if storage.int8 else "float"
        sizes[name] = (tmp_path / f"{name}.onnx").stat().st_size
        (found,) = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"values": values.numpy()})
        np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max() if storage.int8 else 1e-3)
    assert sizes["float"] < 2.1 * 4 * 400 * 200
    assert sizes["int8"] < 3.1 * 400 * 200  # the quantizer takes two of it
