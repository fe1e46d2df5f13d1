"""The problem that is searched, made from a model: the plans that there are, and what they must reach."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from torch import nn

from agents.search.look.layer_losses import LayerLosses
from agents.strategies.baselines.least_expected import least_expected
from envs.budget import Budget
from envs.menus import Menu, build_menus, worthwhile
from envs.problem import CompressionProblem
from envs.rank_options import rank_problem, with_rank_losses
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import WORDS, PriceList
from shrinkml.weights.decomposition import Decomposition

HARMLESS = 0.05  # nats per utterance; what so little does to the words is noise


def problem_of(
    module: nn.Module,
    decompositions: Mapping[str, Decomposition],
    *,
    prices: PriceList,
    ratio: float,
    baseline_wer: float,
    left: Collection[str] = (),
) -> CompressionProblem:
    """The problem of finding a plan of `module`.

    Args:
        module: what the plans are applied to, dense or in part low rank already.
        decompositions: of each of its layers but those that are left.
        prices: what they cost.
        ratio: how many times cheaper than the original the plans must be.
        baseline_wer: of `module`, on what the plans are judged on.
        left: names of layers that stay as they are.
    """
    cost = model_cost(module)
    menus = build_menus(cost.layers, current_ranks=current_plan(module), left=left)
    return rank_problem(
        cost,
        menus=worthwhile(menus, prices),
        prices=prices,
        compression_ratio=ratio,
        spectra={name: tuple(found.singular_values.tolist()) for name, found in decompositions.items()},
        baseline_wer=baseline_wer,
    )


def with_losses(problem: CompressionProblem, losses: LayerLosses | None) -> CompressionProblem:
    """`problem`, told the expected loss of every rank, without the ranks that this speaks against.

    A rank is no option if it alone loses more than all layers together in the plan of least total expected loss: where
    losses add up, no better plan holds it. A plan as harmless as that one and no dearer stays, and with it the budget
    within reach. The rule is our own.

    Args:
        problem: of a search for ranks.
        losses: of its layers; None for a model that tells no scores, whose options all stay.

    Raises:
        PlanError: no plan of the options meets the budget.
    """
    if losses is None:
        return problem
    told = with_rank_losses(problem, losses.curves, tokens_per_utterance=losses.tokens_per_utterance)
    expected = told.expected_losses
    least = sum(row[entry] for row, entry in zip(expected, least_expected(Budget.of(told), expected), strict=True))
    most = max(HARMLESS / told.tokens_per_utterance, least)
    pairs = zip(told.decisions, expected, strict=True)
    return replace(told, decisions=tuple(decision.without_losers(row, most=most) for decision, row in pairs))


def cheapest_plan(menus: Mapping[str, Menu]) -> CompressionPlan:
    """The lowest rank in every layer."""
    return CompressionPlan.of_ranks({name: menu[0] for name, menu in menus.items() if menu[0] is not None})


def check_reachable(prices: PriceList, menus: Mapping[str, Menu], *, ratio: float, n_left: int = 0) -> None:
    """Check that some plan of `menus` is `ratio` times cheaper than the original.

    Args:
        prices: of the plans.
        menus: layer -> the ranks that it may get.
        ratio: that a plan must reach.
        n_left: layers that stay as they are because somebody asked for it.

    Raises:
        PlanError: none is.
    """
    least, words = prices.price(cheapest_plan(menus)), WORDS[prices.resource]
    but = f" but the {n_left} that `layers` leaves alone" if n_left else ""
    or_else = ", or leave fewer layers alone" if n_left else ""
    if prices.original / least < ratio:
        raise PlanError(
            f"the goal of {ratio:g}x is out of reach: with the smallest rank in every layer{but} the model is "
            f"{prices.original / least:.2f}x {words.better} ({least:,} of {prices.original:,} {words.unit}); "
            f"ask for less{or_else}"
        )
