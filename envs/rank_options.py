"""Decisions about matrices: their options are the ranks of a menu, or any choices.

What rounding and zeros keep of a matrix are rules, about as it is for bell-shaped weights: b bits leave noise of
3.3 * 4^-b of the energy (19 dB of signal to noise at 4 bits), and the half of the weights that is smallest holds 7 % of
it; in each factor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from envs.decision import Decision, Option
from envs.levers import Choices, price_with_follower
from envs.menus import Menu
from envs.problem import CompressionProblem
from shrinkml.errors import PlanError
from shrinkml.plan.branch_spec import BranchSpec
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList
from shrinkml.plan.site_prices import LEAST

MODULE = "module"  # kind of a decision whether one is dropped
ROUNDING = 3.3  # noise of weights of b bits is this times 4^-b of their energy


def rank_problem(
    cost: ModelCost,
    *,
    menus: Mapping[str, Menu],
    prices: PriceList,
    compression_ratio: float,
    spectra: Mapping[str, Sequence[float]],
    baseline_wer: float,
) -> CompressionProblem:
    """The problem of one rank per layer.

    Args:
        cost: the layers in forward order, and everything else.
        menus: layer name -> the ranks that it may get, ascending; None (dense) last where the layer may stay dense.
        prices: see `CompressionProblem`.
        compression_ratio: see there.
        spectra: layer name -> singular values, descending; of layers with one entry, which stay as they are, they may
            be missing.
        baseline_wer: see there.

    Raises:
        PlanError: a layer without a menu or a spectrum, or a menu that does not ascend in price.
    """
    return site_problem(
        cost,
        choices=as_choices(menus),
        prices=prices,
        compression_ratio=compression_ratio,
        spectra=spectra,
        baseline_wer=baseline_wer,
    )


def as_choices(menus: Mapping[str, Menu]) -> Choices:
    """The menus of ranks as choices."""
    return {name: tuple(Choice(rank=rank) for rank in menu) for name, menu in menus.items()}


def site_problem(
    cost: ModelCost,
    *,
    choices: Choices,
    prices: PriceList,
    compression_ratio: float,
    spectra: Mapping[str, Sequence[float]],
    baseline_wer: float,
) -> CompressionProblem:
    """The problem of one choice per layer; followers are decided with their layers.

    Before the first layer of each branch that may be dropped, the decision comes whether it is.

    Args:
        cost: the layers in forward order, and everything else.
        choices: layer name -> the choices that there are for it, ascending in price; last as it is.
        prices: see `CompressionProblem`.
        compression_ratio: see there.
        spectra: layer name -> singular values, descending, or of a layer with a follower what each unit adds, most
            important first; of layers with one entry, which stay as they are, they may be missing.
        baseline_wer: see there.

    Raises:
        PlanError: a layer without choices or a spectrum, or choices that do not ascend in price.
    """
    records = {layer.name: layer for layer in cost.layers}
    followers = {layer.follower for layer in cost.layers}
    modules = {branch.name: module_decision(branch, choices.get(branch.name, ()), prices) for branch in cost.branches}
    decisions: list[Decision] = []
    for layer in cost.layers:
        parent = cost.parents.get(layer.name)
        if parent in modules:
            decisions.append(modules.pop(parent))
        if layer.name not in followers:
            decision = site_decision(
                layer,
                choices.get(layer.name, ()),
                prices,
                spectra.get(layer.name, ()),
                follower=None if layer.follower is None else records[layer.follower],
            )
            decisions.append(replace(decision, parent=parent))
    return CompressionProblem((*decisions, *modules.values()), cost.other, prices, compression_ratio, baseline_wer)


def rank_menus(problem: CompressionProblem) -> dict[str, Menu]:
    """Name -> the ranks that are options, of a problem of ranks."""
    return {decision.name: tuple(choice.rank for choice in decision.choices) for decision in problem.decisions}


def with_rank_losses(
    problem: CompressionProblem, losses: Mapping[str, Sequence[float]], *, tokens_per_utterance: float
) -> CompressionProblem:
    """`problem`, told the expected loss of every rank.

    Args:
        problem: of ranks.
        losses: layer name -> nats per token at rank 0, 1, ... of its menu's highest; a layer left dense loses nothing.
        tokens_per_utterance: see `CompressionProblem`.

    Raises:
        PlanError: a layer without losses.
    """
    silent = [decision.name for decision in problem.decisions if not losses.get(decision.name)]
    if silent:
        raise PlanError(f"layer {silent[0]!r} has no expected loss; give one for each of its ranks, from 0 on")
    return with_expected_losses(
        problem, lambda name, choice: loss_at(losses[name], choice.rank), tokens_per_utterance=tokens_per_utterance
    )


def loss_at(curve: Sequence[float], rank: int | None) -> float:
    """The loss at `rank` of a layer that loses `curve` at rank 0, 1, ... of its highest; 0 where it is left dense."""
    return 0.0 if rank is None else curve[min(rank, len(curve) - 1)]


def with_expected_losses(
    problem: CompressionProblem, loss: Callable[[str, Choice], float], *, tokens_per_utterance: float
) -> CompressionProblem:
    """`problem`, told the expected loss of every option: name and choice -> nats per token."""

    def told(decision: Decision) -> Decision:
        options = (replace(it, expected_loss=loss(decision.name, it.choice)) for it in decision.options)
        return replace(decision, options=tuple(options))

    return replace(problem, decisions=tuple(map(told, problem.decisions)), tokens_per_utterance=tokens_per_utterance)


def site_decision(
    layer: LayerSpec,
    choices: Sequence[Choice],
    prices: PriceList,
    spectrum: Sequence[float],
    *,
    follower: LayerSpec | None = None,
) -> Decision:
    """The decision about one layer, and about its follower, if it has one.

    Raises:
        PlanError: no choices, no spectrum although there is more than one, or choices that do not ascend in price.
    """
    if not spectrum and len(choices) != 1:
        raise PlanError(f"layer {layer.name!r} has no spectrum; give its singular values, descending")

    def cost(choice: Choice) -> Cost:
        alone = layer.cost_at(choice)
        return alone if follower is None else alone + follower.cost_at(choice.followed(layer.gates))

    kept = retained_energy(spectrum, [choice.directions for choice in choices]) if spectrum else (1.0,)
    options = tuple(
        Option(choice, cost(choice), price_with_follower(layer, prices, choice), share * _kept_in_factors(choice))
        for choice, share in zip(choices, kept, strict=True)
    )
    energy = sum(s * s for s in spectrum)
    shape = layer.out_features, layer.in_features
    wired = layer.fed_by or (layer.follower is not None and layer.gates > 1)
    return Decision(
        layer.name, layer.kind, shape, options, energy, follower=layer.follower, record=layer if wired else None
    )


def module_decision(branch: BranchSpec, choices: Sequence[Choice], prices: PriceList) -> Decision:
    """The decision about a branch: whether it is dropped. Its own cost is that of what is in it beside its layers.

    Raises:
        PlanError: no choices.
    """
    options = tuple(
        Option(it, NOTHING, LEAST, 0.0) if it.dropped else Option(it, branch.own, prices.sites[branch.name].at(it), 1.0)
        for it in choices
    )
    return Decision(branch.name, MODULE, (1, max(1, branch.own.parameters)), options)


def _kept_in_factors(choice: Choice) -> float:
    """The share of the energy of a matrix that rounding and zeros leave, in each of its factors."""
    rounded = 1.0 if choice.bits is None else 1.0 - ROUNDING * 4.0**-choice.bits
    kept = rounded * _kept_of_bell_shaped(choice.sparsity)
    return kept if choice.directions is None else kept * kept


def _kept_of_bell_shaped(sparsity: float) -> float:
    """The share of the energy of bell-shaped weights that is left without that share of them, the smallest."""
    if not sparsity:
        return 1.0
    bell = NormalDist()
    least = bell.inv_cdf(0.5 + sparsity / 2)
    return 1.0 - sparsity + 2.0 * least * bell.pdf(least)


def retained_energy(spectrum: Sequence[float], menu: Sequence[int | None]) -> tuple[float, ...]:
    """The fraction of a layer's energy that each rank of its menu keeps; 1 where it stays dense.

    Energy is the sum of squared singular values; by Eckart and Young (1936) no matrix of the same rank keeps more.
    """
    energy = np.cumsum(np.square(np.asarray(spectrum, dtype=np.float64)))
    total = energy[-1]
    if total == 0.0:
        return (1.0,) * len(menu)  # a layer of zeros loses nothing at any rank
    return tuple(1.0 if rank is None else float(energy[min(rank, len(energy)) - 1] / total) for rank in menu)
