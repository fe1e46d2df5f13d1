"""What plans cost in the resource that a job saves: parameters, multiply-accumulates (MACs), or time.

The price of a plan is a sum over its layers, each looked up by its rank, and of everything else, which no plan changes.
For time that sum is an estimate, as in NetAdapt's look-up tables (Yang et al. 2018, arXiv:1804.03230); see
`shrinkml.measure.latency`. There is no list of bytes yet: plans of ranks alone are stored at the width of their
checkpoint. Choices of bits or sparsity need one, since their bytes do not follow from their parameters.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.model_cost import ModelCost

Resource = Literal["parameters", "macs", "latency"]

LEAST = 1  # unit that every layer costs: what is never called too, so that shares of a price are defined


class Words(NamedTuple):
    """How messages speak of a resource: what a cheaper model is, and what is counted."""

    better: str
    unit: str


WORDS: dict[Resource, Words] = {
    "parameters": Words("smaller", "parameters"),
    "macs": Words("cheaper", "MACs per second of audio"),
    "latency": Words("faster", "ns per second of audio"),
}


@dataclass(frozen=True, slots=True)
class LayerPrices:
    """What one layer costs.

    Attributes:
        ranks: ascending, where the price is known; it is interpolated between them, and flat beyond them.
        prices: at `ranks`, never falling; 1 or more.
        dense: where the layer is not factorized; 1 or more.
    """

    ranks: tuple[int, ...]
    prices: tuple[int, ...]
    dense: int

    def at(self, rank: int | None) -> int:
        """The price at `rank`, or dense where `rank` is None."""
        if rank is None:
            return self.dense
        above = bisect_left(self.ranks, rank)
        if above in (0, len(self.ranks)):
            return self.prices[0 if above == 0 else -1]
        low, high = self.ranks[above - 1], self.ranks[above]
        rise = self.prices[above] - self.prices[above - 1]
        return self.prices[above - 1] + rise * (rank - low) // (high - low)


@dataclass(frozen=True, slots=True)
class PriceList:
    """What any plan of one model costs, in whole units of one resource (WORDS).

    Attributes:
        resource: what is counted.
        layers: layer name -> its prices.
        other: everything else.
        original: the model that ratios count from.
    """

    resource: Resource
    layers: Mapping[str, LayerPrices]
    other: int
    original: int

    def price(self, plan: CompressionPlan) -> int:
        """What the whole model costs under `plan`."""
        return self.other + sum(prices.at(plan.choice(name).rank) for name, prices in self.layers.items())

    def ratio(self, plan: CompressionPlan) -> float:
        """The original's price over that of `plan`: 5.0 is five times cheaper."""
        return self.original / self.price(plan)

    def limit(self, ratio: float) -> int:
        """The most that a model may cost that is `ratio` times cheaper than the original."""
        return int(self.original / ratio)

    def to_json(self) -> dict[str, Any]:
        """The list as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The list that `to_json` wrote."""
        layers = {
            name: LayerPrices(tuple(layer["ranks"]), tuple(layer["prices"]), layer["dense"])
            for name, layer in value["layers"].items()
        }
        return cls(value["resource"], layers, value["other"], value["original"])


def parameter_prices(cost: ModelCost, original: CompressionPlan | None = None) -> PriceList:
    """The weights of every layer; ratios count from the model under `original`, dense if there is none."""
    layers = {
        layer.name: LayerPrices(
            (1, layer.max_rank), (layer.weights_at(1), layer.weights_at(layer.max_rank)), layer.weights_at(None)
        )
        for layer in cost.layers
    }
    return PriceList("parameters", layers, cost.other.parameters, cost.parameters(original or CompressionPlan()))


def mac_prices(cost: ModelCost, original: CompressionPlan | None = None) -> PriceList:
    """The multiply-accumulates of every layer per second of audio, by how often it is called.

    Products between activations, as in attention, are no layer's and not counted. A layer without calls, such as an
    embedding, which is looked up, costs as good as nothing while it is dense, and factorizing it saves nothing.
    """
    layers = {}
    for layer in cost.layers:
        at_one, at_most, dense = (
            max(LEAST, round(layer.calls_per_s * layer.weights_at(rank))) for rank in (1, layer.max_rank, None)
        )
        layers[layer.name] = LayerPrices((1, layer.max_rank), (at_one, at_most), dense)
    prices = PriceList("macs", layers, other=0, original=0)
    return PriceList("macs", layers, other=0, original=prices.price(original or CompressionPlan()))
