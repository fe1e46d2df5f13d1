"""Tracing of tiny modules."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.errors import ExportError
from shrinkml.export.graph import THIN, Storage, as_model
from shrinkml.export.traced import store_, trace


class Wide(nn.Module):
    """A thin matrix and one that is left to the quantizer."""

    def __init__(self):
        super().__init__()
        self.thin, self.thick = nn.Linear(8, 300, bias=False), nn.Linear(300, 300, bias=False)

    def forward(self, values):
        return self.thick(self.thin(values))


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
