"""Recurrent layers that get fewer units, and those whose matrices are factorized: what is expected to lose less.

Both can't be: a layer has one decision about its units, or one about each of its matrices. So the problem is posed
with the one or the other for each layer, such that the plan of least total expected loss at the size asked for loses
least, from what was measured of single layers. Layers are turned one after the other, those first that gain most
alone; that rule is our own.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import inf

from agents.search.look.layer_losses import LayerLosses
from agents.search.make_problem import on_the_front, with_units_of
from agents.strategies.baselines.least_expected import least_expected
from envs.budget import Budget
from envs.problem import CompressionProblem
from envs.rank_options import with_expected_losses
from shrinkml.errors import PlanError


@dataclass(frozen=True, slots=True)
class Posed:
    """A problem, and what its options are expected to lose."""

    problem: CompressionProblem
    losses: LayerLosses

    @property
    def least(self) -> float:
        """The least total loss that a plan within the budget is expected to have."""
        told = with_expected_losses(self.problem, self.losses.at, tokens_per_utterance=self.losses.tokens_per_utterance)
        told = on_the_front(told)
        try:
            entries = least_expected(Budget.of(told), told.expected_losses)
        except PlanError:  # out of reach
            return inf
        return sum(row[entry] for row, entry in zip(told.expected_losses, entries, strict=True))


def units_where_better(whole: Posed, narrower: Posed) -> Posed:
    """Of two problems of one model the decisions by which less is expected to be lost.

    Args:
        whole: in which no recurrent layer has fewer units.
        narrower: in which all may that can.
    """
    names = [it.name for it in narrower.problem.decisions if it.name not in _undecided(whole, narrower)]

    def with_units(chosen: Collection[str]) -> Posed:
        problem = with_units_of(whole.problem, narrower.problem, chosen)
        return Posed(problem, _mixed(whole.losses, narrower.losses, chosen))

    return with_units(_better(names, lambda some: with_units(some).least, whole.least))


def _better(names: Collection[str], least_of: Callable[[Collection[str]], float], nobody: float) -> Collection[str]:
    """The names that lose least together, as far as they are tried."""
    alone = {name: least_of([name]) for name in names}
    chosen, least = frozenset[str](), nobody
    for name in sorted(names, key=alone.__getitem__):
        found = least_of(chosen | {name})
        if found < least:
            chosen, least = chosen | {name}, found
    return names if names and least_of(names) < least else chosen


def _undecided(whole: Posed, narrower: Posed) -> set[str]:
    """The decisions that are the same in both."""
    followed = {it.name: it.follower for it in whole.problem.decisions}
    return {it.name for it in narrower.problem.decisions if it.follower == followed[it.name]}


def _mixed(whole: LayerLosses, narrower: LayerLosses, names: Collection[str]) -> LayerLosses:
    curves = {name: narrower.curves[name] for name in names if name in narrower.curves}
    others = {name: narrower.others[name] for name in names if name in narrower.others}
    return replace(whole, curves={**whole.curves, **curves}, others={**whole.others, **others})
