"""The problem that is searched, made from a model: the plans that there are, and what they must reach."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from agents.search.look.layer_losses import LayerLosses
from agents.strategies.baselines.least_expected import least_expected
from envs.budget import Budget
from envs.decision import Decision
from envs.levers import UNITS, Choices, cheaper_choices
from envs.menus import build_menus, worthwhile
from envs.problem import CompressionProblem
from envs.rank_options import as_choices, site_problem, with_expected_losses
from shrinkml.compression.sites import NO_PAIRS, Pairs, WiredPairs, current_plan, model_cost
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import WORDS, PriceList
from shrinkml.plan.wiring import UNWIRED, Wiring, wiring_of
from shrinkml.weights.decomposition import Decomposition

HARMLESS = 0.05  # nats per utterance; what so little does to the words is noise
RANKS_ALONE = ("rank",)  # levers of a search for ranks
STEP = 1.12  # times that an option of several levers is dearer than the one before, at least: as finely as ranks differ


def problem_of(
    module: nn.Module,
    decompositions: Mapping[str, Decomposition],
    *,
    prices: PriceList,
    ratio: float,
    baseline_wer: float,
    levers: Collection[str] = RANKS_ALONE,
    left: Collection[str] = (),
    bits: int | None = None,
    pairs: Pairs = NO_PAIRS,
) -> CompressionProblem:
    """The problem of finding a plan of `module`.

    Args:
        module: what the plans are applied to, dense or in part low rank already.
        decompositions: of each of its layers but those that are left.
        prices: what they cost.
        ratio: how many times cheaper than the original the plans must be.
        baseline_wer: of `module`, on what the plans are judged on.
        levers: names in LEVERS.
        left: names of layers that stay as they are.
        bits: of each weight in checkpoints, where no choice rounds it; as in memory, if absent.
        pairs: of layers that are not left, whose units may be cut -> their followers.
    """
    cost = model_cost(module, bits=bits, pairs=pairs)
    return site_problem(
        cost,
        choices=choices_of(cost, current_plan(module), prices, levers, left=left),
        prices=prices,
        compression_ratio=ratio,
        spectra={
            layer.name: tuple(_spectrum(layer, decompositions[layer.name]).tolist())
            for layer in cost.layers
            if layer.name in decompositions
        },
        baseline_wer=baseline_wer,
    )


def problems_of(
    module: nn.Module,
    decompositions: Mapping[str, Decomposition],
    *,
    levers: Collection[str],
    pairs: Pairs,
    **known: Any,
) -> tuple[CompressionProblem, CompressionProblem | None]:
    """The problem of finding a plan of `module`, and the same with units of recurrent layers, if any may be cut.

    Where units are the only lever, that is the one problem. The arguments are those of `problem_of`.
    """
    if isinstance(pairs, WiredPairs):
        unordered = {feed.layer for feeds in pairs.feeds.values() for feed in feeds}
        unordered = {it for it in unordered if it not in decompositions or not len(decompositions[it].order)}
        pairs = pairs.without({*known.get("left", ()), *unordered})  # what hears nothing is left, and keeps its columns
    make = partial(problem_of, module, decompositions, **known)
    if not isinstance(pairs, WiredPairs) or not pairs.feeds or {*levers} == {UNITS}:
        return make(levers=levers, pairs=pairs), None
    return make(levers=levers, pairs=pairs.factorized), make(levers=levers, pairs=pairs)


def _spectrum(layer: LayerSpec, found: Decomposition) -> Tensor:
    """The error that the rows of `layer` keep away where its units may be cut, and its directions elsewhere."""
    return found.added if layer.follower is not None and len(found.added) else found.singular_values


def with_units_of(
    whole: CompressionProblem, narrower: CompressionProblem, names: Collection[str]
) -> CompressionProblem:
    """The problem `whole` with the decisions `names` of `narrower`, and without those that follow from them there."""
    other = {it.name: it for it in narrower.decisions if it.name in names}
    followers = {it.follower for it in other.values()}
    kept = tuple(other.get(it.name, it) for it in whole.decisions if it.name not in followers)
    return replace(whole, decisions=kept)


def choices_of(
    cost: ModelCost,
    present: CompressionPlan,
    prices: PriceList,
    levers: Collection[str] = RANKS_ALONE,
    *,
    left: Collection[str] = (),
) -> Choices:
    """Layer -> the choices that `levers` make and that save something, ascending in price; the present one last.

    Args:
        cost: of a model.
        present: the plan that it is under.
        prices: of plans.
        levers: names in LEVERS.
        left: names of layers that stay as they are.

    Raises:
        PlanError: `present` holds a choice that a search for ranks would undo.
    """
    if {*levers} == {*RANKS_ALONE} and not any(choice.cuts_units for _, choice in present):
        return as_choices(worthwhile(build_menus(cost.layers, current_ranks=present, left=left), prices))
    return cheaper_choices(cost.layers, present, levers, prices, left=left)


def cheapest_choices(
    module: nn.Module,
    prices: PriceList,
    levers: Collection[str],
    pairs: Pairs,
    *,
    left: Collection[str] = (),
    bits: int | None = None,
) -> tuple[Choices, Wiring]:
    """The choices of which the cheapest plan is made, and what follows elsewhere from them.

    With the units of recurrent layers or with their matrices, whichever makes the cheaper one. For the arguments see
    `problem_of`.
    """
    present, found = current_plan(module), []
    for posed in (pairs.factorized, pairs) if isinstance(pairs, WiredPairs) and {*levers} != {UNITS} else (pairs,):
        cost = model_cost(module, bits=bits, pairs=posed)
        found.append((choices_of(cost, present, prices, levers, left=left), wiring_of(cost.layers, present)))
    return min(found, key=lambda each: prices.price(cheapest_plan(*each)))


def on_the_front(problem: CompressionProblem) -> CompressionProblem:
    """`problem` without options that another beats, where they are of several levers."""
    return replace(problem, decisions=tuple(map(_on_the_front, problem.decisions)))


def _on_the_front(decision: Decision) -> Decision:
    ranks_alone = all(choice == Choice(rank=choice.rank) for choice in decision.choices)
    return decision if ranks_alone else decision.on_the_front(STEP)


def with_losses(problem: CompressionProblem, losses: LayerLosses | None) -> CompressionProblem:
    """`problem`, told the expected loss of every option, without those that this speaks against.

    A choice is no option if it alone loses more than all layers together in the plan of least total expected loss:
    where losses add up, no better plan holds it. A plan as harmless as that one and no dearer stays, and with it the
    budget within reach. The rule is our own.

    Args:
        problem: of a search.
        losses: of its layers; None for a model that tells no scores, whose options all stay.

    Raises:
        PlanError: no plan of the options meets the budget.
    """
    if losses is None:
        return problem
    told = on_the_front(with_expected_losses(problem, losses.at, tokens_per_utterance=losses.tokens_per_utterance))
    expected = told.expected_losses
    least = sum(row[entry] for row, entry in zip(expected, least_expected(Budget.of(told), expected), strict=True))
    most = max(HARMLESS / told.tokens_per_utterance, least)
    pairs = zip(told.decisions, expected, strict=True)
    return replace(told, decisions=tuple(decision.without_losers(row, most=most) for decision, row in pairs))


def cheapest_plan(choices: Choices, wiring: Wiring = UNWIRED) -> CompressionPlan:
    """The first choice of every layer, and what follows from it."""
    return wiring.completed(CompressionPlan({name: options[0] for name, options in choices.items()}))


def check_reachable(
    prices: PriceList, choices: Choices, *, ratio: float, n_left: int = 0, wiring: Wiring = UNWIRED
) -> None:
    """Check that some plan of `choices` is `ratio` times cheaper than the original.

    Args:
        prices: of the plans.
        choices: layer -> what may become of it, the cheapest first.
        ratio: that a plan must reach.
        n_left: layers that stay as they are because somebody asked for it.
        wiring: what follows elsewhere from the choices.

    Raises:
        PlanError: none is.
    """
    least, words = prices.price(cheapest_plan(choices, wiring)), WORDS[prices.resource]
    ranks_alone = all(choice == Choice(rank=choice.rank) for options in choices.values() for choice in options)
    smallest = "rank" if ranks_alone else "choice"
    but = f" but the {n_left} that `layers` leaves alone" if n_left else ""
    or_else = ", or leave fewer layers alone" if n_left else ""
    if prices.original / least < ratio:
        raise PlanError(
            f"the goal of {ratio:g}x is out of reach: with the smallest {smallest} in every layer{but} the model is "
            f"{prices.original / least:.2f}x {words.better} ({least:,} of {prices.original:,} {words.unit}); "
            f"ask for less{or_else}"
        )
