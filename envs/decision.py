"""One decision of a search: a place in the model, and the options for it, ascending in price.

A place is a matrix, or a module as a whole. Ranks are one way to make options (`envs.rank_options`); the front of
ranks, bits and sparsity, and keeping or dropping a module, are others (`envs.toys.mixed_toy` has both).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec

PerOption = tuple[tuple[float, ...], ...]  # a figure for each option of each decision


@dataclass(frozen=True, slots=True)
class Option:
    """One choice, and what is known of it before any plan is judged.

    Attributes:
        choice: what becomes of the place.
        cost: of the place under that choice.
        price: the same in the resource that is searched for; 1 or more.
        retained_energy: share of the squared singular values (of what the place computes) that is kept, in [0, 1].
        expected_loss: nats per token that the scores are expected to move by if nothing else changes; None where the
            model tells no scores.
    """

    choice: Choice
    cost: Cost
    price: int
    retained_energy: float
    expected_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One place of a model and its options.

    Attributes:
        name: of the site (matrix) or of the module.
        kind: where it stands; see `shrinkml.plan.layer_spec.LayerKind`, and there may be others.
        shape: its rows and columns.
        options: one at least, ascending in price; the last leaves the place as it is.
        energy: sum of its squared singular values: how large it is, where kinds are compared.
        left_out: options that were removed, as they could not be part of a good plan.
        follower: the matrix whose choice follows from this one's, and is no decision of its own: who multiplies the
            units that may be cut here. Costs, prices and losses of the options are those of both.
        record: of the matrix, where its units or columns are a recurrent layer's; None elsewhere.
        parent: the decision about the module that the place lies in, which may drop it: then this one costs nothing,
            loses nothing beside, and does nothing. It counts as its last option, which leaves the place as it is.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    options: tuple[Option, ...]
    energy: float = 1.0
    left_out: tuple[Option, ...] = ()
    follower: str | None = None
    record: LayerSpec | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        if not self.options:
            raise PlanError(f"layer {self.name!r} has no menu; a layer that stays as it is needs a menu of one entry")
        prices = [option.price for option in self.options]
        if prices != sorted(prices):
            choices = [option.choice.to_json() for option in self.options]
            raise PlanError(f"the menu {choices} of layer {self.name!r} must ascend in price, which is {prices}")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The choices of all options."""
        return tuple(option.choice for option in self.options)

    def own(self, choice: Choice) -> Choice:
        """The part of the `choice` of a plan at the matrix that is decided here: other decisions cut its columns."""
        if self.record is None or not self.record.fed_by:
            return choice
        return replace(choice, inputs=self.options[-1].choice.inputs)

    def units(self, choice: Choice) -> int | None:
        """The units that `choice` leaves of those that are computed here; None where all are."""
        return choice.outputs if self.record is None else choice.outputs and choice.outputs // self.record.gates

    def cost(self, choice: Choice) -> Cost:
        """The cost of the place under the `choice` of a plan.

        Raises:
            PlanError: what is decided here of it is no option.
        """
        own = self.own(choice)
        cost = self.options[self.index(own)].cost
        return cost if self.record is None else cost - self.record.cost_at(own) + self.record.cost_at(choice)

    @property
    def whole(self) -> "Decision":
        """The decision with the options that were left out."""
        options = sorted((*self.options, *self.left_out), key=lambda option: option.price)
        return replace(self, options=tuple(options), left_out=())

    def index(self, choice: Choice) -> int:
        """The option that makes `choice`.

        Raises:
            PlanError: none does.
        """
        return index_of(choice, self.choices, self.name)

    def without_losers(self, losses: Iterable[float], *, most: float) -> "Decision":
        """The decision without options that lose more than `most` alone, or no less than the one before.

        The last option stays.

        Args:
            losses: expected of each option, never rising.
            most: that an option may lose.
        """
        before = (float("inf"), *losses)
        kept = tuple(
            option
            for option, (cheaper, loss) in zip(self.options[:-1], pairwise(before), strict=False)
            if loss <= most and loss < cheaper
        )
        left = tuple(option for option in self.options[:-1] if option not in kept)
        return replace(self, options=(*kept, self.options[-1]), left_out=(*self.left_out, *left))

    def on_the_front(self, step: float) -> "Decision":
        """The decision with the options alone that lose less than every cheaper one does, and the last.

        By expected loss where that is known, by energy elsewhere. Nothing tells of the others: with several levers they
        are most.

        Args:
            step: how many times cheaper than the next an option is at least, but the cheapest; 1 keeps all the front.
        """
        *others, last = self.options
        best: list[Option] = []
        for option in sorted(others, key=lambda option: (option.price, _lost(option))):
            if not best or _lost(option) < _lost(best[-1]):
                best.append(option)
        kept = [last]
        for option in reversed(best):
            if step * option.price <= kept[0].price:
                kept.insert(0, option)
        cheapest = () if not best or best[0] in kept else best[:1]
        return replace(self, options=(*cheapest, *kept))


def _lost(option: Option) -> float:
    return 1.0 - option.retained_energy if option.expected_loss is None else option.expected_loss


def front(options: Iterable[Option]) -> tuple[Option, ...]:
    """The Pareto front: those of `options` that no other, at that price or less, matches in energy; ascending."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (option.price, -option.retained_energy)):
        if not kept or option.retained_energy > kept[-1].retained_energy:
            kept.append(option)
    return tuple(kept)


def index_of(choice: Choice, choices: Sequence[Choice], name: str) -> int:
    """The place of `choice` among the `choices` that there are at `name`.

    Raises:
        PlanError: it is none of them.
    """
    if choice not in choices:
        menu = ", ".join(map(_in_words, choices))
        raise PlanError(f"{_in_words(choice)} of layer {name!r} is not on its menu: {menu}")
    return choices.index(choice)


def _in_words(choice: Choice) -> str:
    """The choice as messages tell it."""
    if choice == Choice(rank=choice.rank):
        return f"rank {choice.rank}"
    return f"choice {choice.to_json()}"
