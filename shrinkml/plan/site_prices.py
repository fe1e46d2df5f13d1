"""The price of one site under each choice: by a table of ranks, or counted from the record of its layer."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.layer_spec import LayerSpec

CountedOf = Literal["parameters", "bytes", "macs"]

LEAST = 1  # unit that every layer costs: what is never called too, so that shares of a price are defined


class Prices(Protocol):
    """The price of one site under each choice."""

    @property
    def dense(self) -> int:
        """The price where nothing is chosen; 1 or more."""
        ...

    def at(self, choice: Choice) -> int:
        """The price of `choice`; 1 or more.

        Raises:
            PlanError: it is not known.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """The prices as plain JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class CountedPrices:
    """The parameters, bytes or MACs of one site under any choice, counted from its record; implements `Prices`.

    Biases of a recurrent layer are among them: they are fewer where its units are cut.
    """

    layer: LayerSpec
    counted: CountedOf

    @property
    def dense(self) -> int:
        """Those of the dense matrix."""
        return self.at(DENSE)

    def at(self, choice: Choice) -> int:
        """Those of `choice`.

        Raises:
            RankError: a rank that the matrix cannot have.
        """
        cost = self.layer.cost_at(choice) + self.layer.own_biases
        counted = {"parameters": cost.parameters, "bytes": cost.bytes, "macs": round(cost.macs_per_s)}
        return max(LEAST, counted[self.counted])

    def to_json(self) -> dict[str, Any]:
        """The record of the layer as plain JSON values."""
        return {"layer": asdict(self.layer), "counted": self.counted}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The prices that `to_json` wrote."""
        return cls(LayerSpec(**value["layer"]), value["counted"])


@dataclass(frozen=True, slots=True)
class FedColumns:
    """The part of a price that goes by the columns of a matrix, which units of others feed.

    Attributes:
        layer: the matrix.
        per_weight: the price of each weight in them.
        present: columns that there are now; None for all.
    """

    layer: LayerSpec
    per_weight: float
    present: int | None = None

    def whole(self, choice: Choice) -> Choice:
        """The same with the columns that there are now."""
        return replace(choice, inputs=self.present)

    def saved(self, choice: Choice) -> int:
        """The price that `choice` saves by having fewer columns."""
        whole = self.layer.cost_at(self.whole(choice)).parameters
        return int(self.per_weight * (whole - self.layer.cost_at(choice).parameters))


@dataclass(frozen=True, slots=True)
class SitePrices:
    """The price of one site by a table of ranks; implements `Prices`.

    Attributes:
        ranks: ascending, where the price is known; it is interpolated between them, and flat beyond them.
        prices: at `ranks`, never falling; 1 or more.
        dense: where the site is not factorized; 1 or more.
        others: of choices that are more than a rank.
        fed: what fewer columns save, where others may cut some; the table is for those that there are now.
    """

    ranks: tuple[int, ...]
    prices: tuple[int, ...]
    dense: int
    others: Mapping[Choice, int] = field(default_factory=dict)
    fed: FedColumns | None = None

    def at(self, choice: Choice) -> int:
        """The price of `choice`.

        Raises:
            PlanError: it is more than a rank, and its price is not known.
        """
        if choice in self.others:
            return self.others[choice]
        if self.fed is not None and choice.inputs != self.fed.present:
            return max(LEAST, self._with_all_columns(self.fed.whole(choice)) - self.fed.saved(choice))
        return self._with_all_columns(choice)

    def _with_all_columns(self, choice: Choice) -> int:
        """The price of `choice`, where fewer columns are not known to save anything."""
        alone = replace(choice, inputs=None)
        for known in (choice, alone):
            if known in self.others:
                return self.others[known]
        if alone != Choice(rank=choice.rank):
            others = [other.to_json() for other in self.others]
            raise PlanError(f"no price for the choice {choice.to_json()}; allowed: a rank, dense, or one of {others}")
        return self.dense if choice.rank is None else self._at_rank(choice.rank)

    def _at_rank(self, rank: int) -> int:
        above = bisect_left(self.ranks, rank)
        if above in (0, len(self.ranks)):
            return self.prices[0 if above == 0 else -1]
        low, high = self.ranks[above - 1], self.ranks[above]
        rise = self.prices[above] - self.prices[above - 1]
        return self.prices[above - 1] + rise * (rank - low) // (high - low)

    def to_json(self) -> dict[str, Any]:
        """The prices as plain JSON values."""
        others = [[choice.to_json(), price] for choice, price in self.others.items()]
        known = {"ranks": self.ranks, "prices": self.prices, "dense": self.dense}
        fed = {} if self.fed is None else {"fed": asdict(self.fed)}
        return {**known, **({"others": others} if others else {}), **fed}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The prices that `to_json` wrote."""
        others = {Choice.from_json(choice): price for choice, price in value.get("others", ())}
        fed = value.get("fed")
        made = None if fed is None else FedColumns(LayerSpec(**fed["layer"]), fed["per_weight"], fed["present"])
        return cls(tuple(value["ranks"]), tuple(value["prices"]), value["dense"], others, made)


def prices_from_json(value: Mapping[str, Any]) -> Prices:
    """The prices that the `to_json` of either kind wrote."""
    return CountedPrices.from_json(value) if "layer" in value else SitePrices.from_json(value)
