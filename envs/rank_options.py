"""Decisions whose options are the ranks of a menu: one way to make options."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from envs.decision import Decision, Option
from envs.menus import Menu
from envs.problem import CompressionProblem
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList


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
    decisions = tuple(
        rank_decision(layer, menus.get(layer.name, ()), prices, spectra.get(layer.name, ())) for layer in cost.layers
    )
    return CompressionProblem(decisions, cost.other, prices, compression_ratio, baseline_wer)


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
    decisions = tuple(_told(decision, losses.get(decision.name, ())) for decision in problem.decisions)
    return replace(problem, decisions=decisions, tokens_per_utterance=tokens_per_utterance)


def _told(decision: Decision, losses: Sequence[float]) -> Decision:
    if not losses:
        raise PlanError(f"layer {decision.name!r} has no expected loss; give one for each of its ranks, from 0 on")
    ranks = [option.choice.rank for option in decision.options]
    at_ranks = [0.0 if rank is None else losses[min(rank, len(losses) - 1)] for rank in ranks]
    options = (replace(option, expected_loss=loss) for option, loss in zip(decision.options, at_ranks, strict=True))
    return replace(decision, options=tuple(options))


def rank_decision(layer: LayerSpec, menu: Menu, prices: PriceList, spectrum: Sequence[float]) -> Decision:
    """The decision about the rank of one layer.

    Raises:
        PlanError: an empty menu, no spectrum although there is a choice, or a menu that does not ascend in price.
    """
    if not spectrum and len(menu) != 1:
        raise PlanError(f"layer {layer.name!r} has no spectrum; give its singular values, descending")
    choices = [Choice(rank=rank) for rank in menu]
    kept = retained_energy(spectrum, menu) if spectrum else (1.0,)
    options = tuple(
        Option(choice, layer.cost_at(choice), prices.sites[layer.name].at(choice), share)
        for choice, share in zip(choices, kept, strict=True)
    )
    energy = sum(s * s for s in spectrum)
    return Decision(layer.name, layer.kind, (layer.out_features, layer.in_features), options, energy)


def retained_energy(spectrum: Sequence[float], menu: Menu) -> tuple[float, ...]:
    """The fraction of a layer's energy that each rank of its menu keeps; 1 where it stays dense.

    Energy is the sum of squared singular values; by Eckart and Young (1936) no matrix of the same rank keeps more.
    """
    energy = np.cumsum(np.square(np.asarray(spectrum, dtype=np.float64)))
    total = energy[-1]
    if total == 0.0:
        return (1.0,) * len(menu)  # a layer of zeros loses nothing at any rank
    return tuple(1.0 if rank is None else float(energy[min(rank, len(energy)) - 1] / total) for rank in menu)
