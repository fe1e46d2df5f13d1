"""From a model to the problem that is searched: which plans there are, and what they must reach."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from agents.strategies.baselines.divergence import least_expected
from envs.budget import Budget
from envs.expectation import expected_harms
from envs.menus import Menu, build_menus, sensible, worthwhile
from envs.problem import RankProblem
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import WORDS, PriceList
from shrinkml.weights.decomposition import Decomposition

HARMLESS = 0.05  # nats per utterance; what so little does to the words is noise


def pose(
    module: nn.Module,
    decompositions: Mapping[str, Decomposition],
    *,
    prices: PriceList,
    ratio: float,
    baseline_wer: float,
) -> RankProblem:
    """The search for a plan of `module`.

    Args:
        module: what the plans are applied to, dense or in part low rank already.
        decompositions: of each of its layers.
        prices: what they cost.
        ratio: how many times cheaper than the original the plans must be.
        baseline_wer: of `module`, on what the plans are judged on.
    """
    cost = model_cost(module)
    return RankProblem(
        cost=cost,
        menus=worthwhile(build_menus(cost.layers, current_ranks=current_plan(module)), prices),
        prices=prices,
        compression_ratio=ratio,
        spectra={name: tuple(found.singular_values.tolist()) for name, found in decompositions.items()},
        baseline_wer=baseline_wer,
    )


def with_divergences(problem: RankProblem, divergences: Mapping[str, tuple[float, ...]]) -> RankProblem:
    """`problem`, told what each layer alone does, without the ranks that this speaks against.

    A rank leaves its menu if it alone does more than all layers together in the plan of least total divergence: where
    divergences add up, no better plan holds it. A plan as harmless as that one and no dearer stays, and with it the
    budget within reach. The rule is our own.

    Args:
        problem: of a search.
        divergences: see `RankProblem`; empty for a model that does not tell its scores, whose menus stay whole.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    told = replace(problem, divergences=divergences)
    if not divergences:
        return told
    budget = Budget.of(told)
    harms = expected_harms(told, budget)
    least = sum(row[entry] for row, entry in zip(harms, least_expected(budget, harms), strict=True))
    menus = sensible(told.menus, dict(zip(budget.names, harms, strict=True)), most=max(HARMLESS, least))
    cut = {name: tuple(rank for rank in menu if rank not in menus[name]) for name, menu in told.menus.items()}
    return replace(told, menus=menus, cut=cut)


def cheapest_plan(menus: Mapping[str, Menu]) -> CompressionPlan:
    """The lowest rank in every layer."""
    return CompressionPlan.of_ranks({name: menu[0] for name, menu in menus.items() if menu[0] is not None})


def check_reachable(prices: PriceList, menus: Mapping[str, Menu], *, ratio: float) -> None:
    """That some plan of `menus` is `ratio` times cheaper than the original.

    Raises:
        PlanError: none is.
    """
    least, words = prices.price(cheapest_plan(menus)), WORDS[prices.resource]
    if prices.original / least < ratio:
        raise PlanError(
            f"the goal of {ratio:g}x is out of reach: with the smallest rank in every layer the model is "
            f"{prices.original / least:.2f}x {words.better} ({least:,} of {prices.original:,} {words.unit}); "
            "ask for less"
        )
