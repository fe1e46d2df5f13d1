"""The price of plans in the resource that a job saves: parameters, bytes, multiply-accumulates (MACs), or time.

The price of a plan is a sum over its sites, each looked up by its choice, of terms for groups of sites, and of
everything else, which no plan changes. For time that sum is an estimate, as in NetAdapt's look-up tables (Yang et al.
2018, arXiv:1804.03230); see `shrinkml.measure.latency`. Bytes follow from parameters by no constant: choices differ in
bits, and scales and indices count.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self

from shrinkml.plan.branch_spec import BranchSpec
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.site_prices import LEAST, CountedPrices, Prices, SitePrices, prices_from_json

Resource = Literal["parameters", "bytes", "macs", "latency"]


class Words(NamedTuple):
    """The words of messages about a resource: for a cheaper model, and for its unit."""

    better: str
    unit: str


WORDS: dict[Resource, Words] = {
    "parameters": Words("smaller", "parameters"),
    "bytes": Words("smaller", "bytes"),
    "macs": Words("cheaper", "MACs per second of audio"),
    "latency": Words("faster", "ns per second of audio"),
}


@dataclass(frozen=True, slots=True)
class GroupTerm:
    """The price of a group of sites together, beside the sum of theirs.

    Attributes:
        choices: site -> the choices that count.
        price: more, or less where negative, where every one of those sites makes one of its choices.
    """

    choices: Mapping[str, tuple[Choice, ...]]
    price: int

    def at(self, plan: CompressionPlan) -> int:
        """The price that the term adds to that of `plan`."""
        return self.price if all(plan.choice(site) in counted for site, counted in self.choices.items()) else 0

    def to_json(self) -> dict[str, Any]:
        """The term as plain JSON values."""
        choices = {site: [choice.to_json() for choice in counted] for site, counted in self.choices.items()}
        return {"choices": choices, "price": self.price}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The term that `to_json` wrote."""
        choices = {site: tuple(map(Choice.from_json, counted)) for site, counted in value["choices"].items()}
        return cls(choices, value["price"])


@dataclass(frozen=True, slots=True)
class PriceList:
    """The price of any plan of one model, in whole units of one resource (WORDS).

    Attributes:
        resource: what is counted.
        sites: name -> its prices.
        other: everything else.
        original: the model that ratios count from.
        terms: for groups of sites.
        parents: site -> the module that it lies in, a site of its own: where that is dropped, it costs nothing.
    """

    resource: Resource
    sites: Mapping[str, Prices]
    other: int
    original: int
    terms: tuple[GroupTerm, ...] = ()
    parents: Mapping[str, str] = field(default_factory=dict)

    def price(self, plan: CompressionPlan) -> int:
        """The price of the whole model under `plan`.

        Raises:
            PlanError: a choice whose price is not known.
        """
        gone = {name for name, choice in plan if choice.dropped}
        there = ((name, prices) for name, prices in self.sites.items() if self.parents.get(name) not in gone)
        alone = sum(prices.at(plan.choice(name)) for name, prices in there)
        return self.other + alone + sum(term.at(plan) for term in self.terms)

    def ratio(self, plan: CompressionPlan) -> float:
        """The original's price over that of `plan`: 5.0 is five times cheaper."""
        return self.original / self.price(plan)

    def limit(self, ratio: float) -> int:
        """The most that a model may cost that is `ratio` times cheaper than the original."""
        return int(self.original / ratio)

    def to_json(self) -> dict[str, Any]:
        """The list as plain JSON values."""
        return {
            "resource": self.resource,
            "sites": {name: prices.to_json() for name, prices in self.sites.items()},
            "other": self.other,
            "original": self.original,
            "terms": [term.to_json() for term in self.terms],
            "parents": dict(self.parents),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The list that `to_json` wrote; older jobs called sites layers and had no terms."""
        sites = value["sites"] if "sites" in value else value["layers"]
        return cls(
            value["resource"],
            {name: prices_from_json(prices) for name, prices in sites.items()},
            value["other"],
            value["original"],
            tuple(map(GroupTerm.from_json, value.get("terms", ()))),
            value.get("parents", {}),
        )

    def with_branches(self, branches: Iterable[BranchSpec], own: Callable[[BranchSpec], float]) -> Self:
        """The list with modules that may be dropped, of which `other` counts nothing.

        Args:
            branches: of the model.
            own: the price of all that is in one beside its layers.
        """
        modules = {it.name: SitePrices((), (), max(LEAST, round(own(it))), {it.dropped: LEAST}) for it in branches}
        parents = {layer: branch.name for branch in branches for layer in branch.layers}
        return replace(self, sites={**self.sites, **modules}, parents={**self.parents, **parents})


def parameter_prices(cost: ModelCost, original: CompressionPlan | None = None) -> PriceList:
    """Prices by the weights of every layer; ratios count from the model under `original`, dense if there is none."""
    sites = {layer.name: CountedPrices(layer, "parameters") for layer in cost.layers}
    whole = cost.parameters(original or CompressionPlan())
    prices = PriceList("parameters", sites, _others(cost).parameters, whole)
    return prices.with_branches(cost.branches, lambda branch: _own(cost, branch).parameters)


def byte_prices(cost: ModelCost, original: int) -> PriceList:
    """Prices by the bytes of every layer in a checkpoint, scales and indices included.

    Args:
        cost: layers and everything else, with the bits that checkpoints store weights in which no choice rounds.
        original: bytes that ratios count from.
    """
    sites = {layer.name: CountedPrices(layer, "bytes") for layer in cost.layers}
    prices = PriceList("bytes", sites, _others(cost).bytes, original)
    return prices.with_branches(cost.branches, lambda branch: _own(cost, branch).bytes)


def _others(cost: ModelCost) -> Cost:
    """The cost of what is in no price of a site."""
    return cost.other - sum((it.own_biases for it in cost.layers if it.name not in cost.parents), NOTHING)


def _own(cost: ModelCost, branch: BranchSpec) -> Cost:
    """The cost of what is in `branch` and in no price of its layers."""
    return branch.own - sum((it.own_biases for it in cost.layers if it.name in branch.layers), NOTHING)


def mac_prices(cost: ModelCost, original: CompressionPlan | None = None) -> PriceList:
    """Prices by the multiply-accumulates of every layer per second of audio, by how often it is called.

    Products between activations, as in attention, are no layer's and not counted. A layer without calls, such as an
    embedding, which is looked up, costs as good as nothing while it is dense, and factorizing it saves nothing.
    """
    sites = {layer.name: CountedPrices(layer, "macs") for layer in cost.layers}
    prices = PriceList("macs", sites, other=0, original=0).with_branches(cost.branches, lambda _: 0)
    return replace(prices, original=prices.price(original or CompressionPlan()))
