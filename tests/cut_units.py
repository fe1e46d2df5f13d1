"""Models whose recurrent layers are ready to be cut."""

from collections.abc import Callable, Mapping

from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers
from shrinkml.compression.unit_flow.recurrent_decomposition import numbered, unit_orders, with_units
from shrinkml.compression.unit_flow.recurrent_units import find_recurrent_units
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.wiring import wiring_of
from shrinkml.weights.decomposition import Decomposition


class ReadyToCut:
    """What it takes to cut units of a model, which `run` lets work."""

    def __init__(self, model: nn.Module, run: Callable[[], object], factorizer: str = "pca") -> None:
        self.pairs = find_recurrent_units(model, run)
        self.layers = find_layers(model, pairs=self.pairs)
        self._wiring = wiring_of(self.layers, current_plan(model))
        stats, numbers = calibrate(model, run), numbered(model)
        orders = unit_orders(model, self.pairs, stats)
        self.decompositions: dict[str, Decomposition] = {
            layer: with_units(found, layer, self.pairs, orders, numbers)
            for layer, found in decompose(model, factorizer, stats).items()
        }

    @property
    def units(self) -> dict[str, int]:
        """Input matrix of each direction -> its units."""
        return {it.name: it.out_features // it.gates for it in self.layers if it.name in self.pairs}

    def plan(self, left: Mapping[str, int], others: Mapping[str, Choice] | None = None) -> CompressionPlan:
        """The plan that leaves so many units of each direction that is named, and makes the choices `others`."""
        gates = {layer.name: layer.gates for layer in self.layers}
        own = {name: Choice(outputs=n * gates[name]) for name, n in left.items()}
        return self._wiring.completed(CompressionPlan({**(others or {}), **own}))
