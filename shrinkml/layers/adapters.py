"""The layers whose matrices can be compressed, and those of which more is to be said than that they cannot.

A new one is a file with its layer and its adapter, and a row here.
"""

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from shrinkml.additions import own_ways
from shrinkml.layers.adapter import Adapter
from shrinkml.layers.attention import ATTENTION
from shrinkml.layers.convolution import CONV1D
from shrinkml.layers.embedding import EMBEDDING
from shrinkml.layers.form_layer import FormLayer
from shrinkml.layers.gru import GRU
from shrinkml.layers.gru_cell import GRU_CELL
from shrinkml.layers.linear import LINEAR
from shrinkml.layers.lstm import LSTM
from shrinkml.layers.lstm_cell import LSTM_CELL

PARAMETRIZED = Adapter(ParametrizationList, why_left=lambda _: "another weight is computed from it")

ADAPTERS: dict[type[nn.Module], Adapter] = {
    kind: adapter
    for adapter in (LINEAR, CONV1D, EMBEDDING, LSTM, LSTM_CELL, GRU, GRU_CELL, ATTENTION, PARAMETRIZED)
    for kind in adapter.types
}


def nearest_adapter(module: nn.Module) -> Adapter | None:
    """The adapter of the type of `module`, or else of the nearest type that it is derived from."""
    return next((ADAPTERS[kind] for kind in type(module).__mro__ if kind in ADAPTERS), None)


def why_kept(module: nn.Module) -> str | None:
    """The reason why a layer of torch's keeps its matrices because of what its owner did to it; None where none is."""
    adapter = ADAPTERS.get(type(module))
    if adapter is None or isinstance(module, FormLayer):  # ours take over whatever is hung on them
        return None
    weights = [name for name, _ in adapter.matrices(module)]
    return own_ways(module, weights) if weights else None
