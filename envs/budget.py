"""The budget: what each menu entry costs, and how far a choice may go with the rest still to be paid.

Inside a search a plan is its *entries*: one menu index per layer, in forward order. The wall that keeps every episode
inside the budget is AMC's (He et al. 2018, arXiv:1802.03494, algorithm 1): a layer may take what is left when all
layers that are still to come take their cheapest entry.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from envs.menus import Menu
from envs.problem import RankProblem
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import WORDS

Entries = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """The prices of a problem's menus, and the limit on their sum.

    Attributes:
        names: of the layers, in forward order.
        menus: of the layers.
        weights: what each layer costs at each of its entries, ascending; in units of the problem's price list.
        limit: of the sum of the layers' weights.
    """

    names: tuple[str, ...]
    menus: tuple[Menu, ...]
    weights: tuple[tuple[int, ...], ...]
    limit: int

    @classmethod
    def of(cls, problem: RankProblem) -> "Budget":
        """The budget of `problem`.

        Raises:
            PlanError: a layer without a menu, a menu that does not ascend, or no plan that meets the budget.
        """
        layers, listed = problem.cost.layers, problem.prices
        menus = tuple(_menu_of(problem, layer) for layer in layers)
        weights = tuple(
            tuple(listed.layers[layer.name].at(rank) for rank in menu)
            for layer, menu in zip(layers, menus, strict=True)
        )
        for layer, menu, prices in zip(layers, menus, weights, strict=True):
            if list(prices) != sorted(prices):
                raise PlanError(f"the menu {menu} of layer {layer.name!r} must ascend in price, which is {prices}")
        allowed, least = problem.limit, listed.other + sum(prices[0] for prices in weights)
        if least > allowed:
            words = WORDS[listed.resource]
            raise PlanError(
                f"no plan is {problem.compression_ratio:g}x {words.better} ({allowed} {words.unit}): the cheapest that "
                f"the menus allow has {least} {words.unit} ({listed.original / least:.2f}x); "
                "ask for less, or allow lower ranks"
            )
        return cls(tuple(layer.name for layer in layers), menus, weights, allowed - listed.other)

    @property
    def cheapest(self) -> Entries:
        """The first entry of every layer."""
        return (0,) * len(self.names)

    def spent(self, entries: Sequence[int]) -> int:
        """What the layers cost at `entries`."""
        return sum(prices[entry] for prices, entry in zip(self.weights, entries, strict=True))

    def n_affordable(self, layer: int, entries: Sequence[int], pinned: Collection[int]) -> int:
        """How many of a layer's entries, from the first, leave the budget within reach.

        Args:
            layer: index of the layer that chooses.
            entries: one per layer.
            pinned: indices of the layers whose entry is settled; every other layer could still take its first.
        """
        others = sum(prices[entries[i] if i in pinned else 0] for i, prices in enumerate(self.weights) if i != layer)
        return bisect_right(self.weights[layer], self.limit - others)

    def plan(self, entries: Sequence[int]) -> CompressionPlan:
        """The plan that `entries` stand for."""
        chosen = ((name, menu[entry]) for name, menu, entry in zip(self.names, self.menus, entries, strict=True))
        return CompressionPlan.of_ranks({name: rank for name, rank in chosen if rank is not None})

    def entries(self, plan: CompressionPlan) -> Entries:
        """The entries that make `plan`.

        Raises:
            PlanError: a rank that its layer's menu does not hold.
        """
        for name, menu in zip(self.names, self.menus, strict=True):
            if plan.choice(name).rank not in menu:
                raise PlanError(f"rank {plan.choice(name).rank} of layer {name!r} is not on its menu {menu}")
        return tuple(menu.index(plan.choice(name).rank) for name, menu in zip(self.names, self.menus, strict=True))


def _menu_of(problem: RankProblem, layer: LayerSpec) -> Menu:
    menu = problem.menus.get(layer.name)
    if not menu:
        raise PlanError(f"layer {layer.name!r} has no menu; a layer that stays as it is needs a menu of one entry")
    return tuple(menu)
