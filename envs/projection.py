"""From any entries to a plan that meets the budget and uses it, at the least loss of energy."""

from collections.abc import Collection, Iterable, Sequence

from envs.budget import Budget, Entries
from envs.retained_energy import Energies

Move = tuple[int, int]  # layer, its new entry


def fit_to_budget(
    entries: Sequence[int], budget: Budget, energies: Energies, *, pinned: Collection[int] = ()
) -> Entries:
    """Entries within the budget, of which none can be raised alone without leaving it.

    While the plan is too big, the layer that loses the least energy per weight saved goes down; while something fits,
    the layer that gains the most energy per weight goes up (from the cheapest plan this is the greedy allocation).

    Args:
        entries: one menu index per layer.
        budget: prices and limit.
        energies: what each entry of each layer keeps, as a fraction.
        pinned: indices of the layers that move only when no other can.
    """
    fitted = list(lowered_to_budget(entries, budget, energies, pinned=pinned))
    for movable in _in_turn(len(fitted), pinned):
        while up := _most_gain(fitted, budget, energies, movable):
            fitted[up[0]] = up[1]
    return tuple(fitted)


def lowered_to_budget(
    entries: Sequence[int], budget: Budget, energies: Energies, *, pinned: Collection[int] = ()
) -> Entries:
    """The first half of `fit_to_budget`: entries within the budget, of which some might be raised again."""
    lowered = list(entries)
    for movable in _in_turn(len(lowered), pinned):
        while budget.spent(lowered) > budget.limit and (down := _least_loss(lowered, budget, energies, movable)):
            lowered[down[0]] = down[1]
    return tuple(lowered)


def _in_turn(n_layers: int, pinned: Collection[int]) -> tuple[list[int], list[int]]:
    """The layers that move first, and then all."""
    everyone = list(range(n_layers))
    return [layer for layer in everyone if layer not in pinned], everyone


def _least_loss(entries: Sequence[int], budget: Budget, energies: Energies, movable: Iterable[int]) -> Move | None:
    moves = [(layer, entry) for layer in movable for entry in range(entries[layer])]
    return min(moves, key=lambda move: _rate(move, entries, budget, energies), default=None)


def _most_gain(entries: Sequence[int], budget: Budget, energies: Energies, movable: Iterable[int]) -> Move | None:
    left = budget.limit - budget.spent(entries)
    moves = [
        (layer, entry)
        for layer in movable
        for entry in range(entries[layer] + 1, len(budget.weights[layer]))
        if budget.weights[layer][entry] - budget.weights[layer][entries[layer]] <= left
    ]
    return max(moves, key=lambda move: _rate(move, entries, budget, energies), default=None)


def _rate(move: Move, entries: Sequence[int], budget: Budget, energies: Energies) -> float:
    """Energy per weight between a layer's entry and another one (the same sign convention both ways)."""
    layer, entry = move
    now = entries[layer]
    weights = budget.weights[layer][entry] - budget.weights[layer][now]
    energy = energies[layer][entry] - energies[layer][now]
    return energy / weights if weights else float("inf")
