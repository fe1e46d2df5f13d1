"""The projection of any entries to a plan that meets the budget and uses it, at the least loss of energy.

Whether a plan fits is asked of its whole price; rates go by the prices of options, and leave terms for groups out. A
module that is dropped takes along what lies in it, with the energy that is kept there (or the losses).
"""

from collections.abc import Collection, Iterable, Sequence

from envs.budget import Budget, Entries
from envs.decision import PerOption

Move = tuple[int, int]  # index of a decision, its new entry


def fit_to_budget(
    entries: Sequence[int], budget: Budget, energies: PerOption, *, pinned: Collection[int] = ()
) -> Entries:
    """Entries within the budget, of which none can be raised alone without leaving it.

    While the plan is too dear, the decision that loses the least energy per price saved goes down; while something
    fits, the one that gains the most energy per price goes up (from the cheapest plan: the greedy allocation).

    Args:
        entries: the index of one option per decision.
        budget: prices and limit.
        energies: what each option keeps, as a fraction; or minus what it loses (`as_energies`).
        pinned: indices of the decisions that move only when no other can.
    """
    fitted = _lowered(entries, budget, energies, pinned)
    for movable in _in_turn(len(fitted), pinned):
        while up := _most_gain(fitted, budget, energies, movable):
            fitted[up[0]] = up[1]
    return budget.written(fitted)


def lowered_to_budget(
    entries: Sequence[int], budget: Budget, energies: PerOption, *, pinned: Collection[int] = ()
) -> Entries:
    """The first half of `fit_to_budget`: entries within the budget, of which some might be raised again."""
    return budget.written(_lowered(entries, budget, energies, pinned))


def _lowered(entries: Sequence[int], budget: Budget, energies: PerOption, pinned: Collection[int]) -> list[int]:
    lowered = list(entries)
    for movable in _in_turn(len(lowered), pinned):
        while budget.spent(lowered) > budget.limit and (down := _least_loss(lowered, budget, energies, movable)):
            lowered[down[0]] = down[1]
    return lowered


def as_energies(losses: PerOption) -> PerOption:
    """The expected losses of options as something to be kept."""
    return tuple(tuple(-loss for loss in row) for row in losses)


def _in_turn(n_decisions: int, pinned: Collection[int]) -> tuple[list[int], list[int]]:
    """The decisions that move first, and then all."""
    everyone = list(range(n_decisions))
    return [decision for decision in everyone if decision not in pinned], everyone


def _least_loss(entries: Sequence[int], budget: Budget, energies: PerOption, movable: Iterable[int]) -> Move | None:
    there = (decision for decision in movable if not budget.is_gone(decision, entries))
    moves = [(decision, entry) for decision in there for entry in range(entries[decision])]
    return min(moves, key=lambda move: _rate(move, entries, budget, energies), default=None)


def _most_gain(entries: Sequence[int], budget: Budget, energies: PerOption, movable: Iterable[int]) -> Move | None:
    left = budget.limit - budget.spent(entries)
    there = (decision for decision in movable if not budget.is_gone(decision, entries))
    moves = [
        (decision, entry)
        for decision in there
        for entry in range(entries[decision] + 1, len(budget.weights[decision]))
        if budget.extra(entries, decision, entry) <= left
        and (decision not in budget.children or _energy((decision, entry), entries, budget, energies) > 0.0)
    ]
    return max(moves, key=lambda move: _rate(move, entries, budget, energies), default=None)


def _rate(move: Move, entries: Sequence[int], budget: Budget, energies: PerOption) -> float:
    """Energy per price between a decision's entry and another one (the same sign convention both ways)."""
    weights, energy = budget.extra_alone(entries, *move), _energy(move, entries, budget, energies)
    return energy / weights if weights else float("inf")


def _energy(move: Move, entries: Sequence[int], budget: Budget, energies: PerOption) -> float:
    """Energy between a decision's entry and another one; of a module that is dropped, with what lies in it."""
    decision, entry = move
    now = entries[decision]
    change = energies[decision][entry] - energies[decision][now]
    dropped = budget.drops(decision, entry) - budget.drops(decision, now)
    return change - dropped * sum(energies[child][entries[child]] for child in budget.children.get(decision, ()))
