"""The interplay of cut layers: what each loses inside a model that is cut already, not alone.

On pretrained models losses do not add up: layers that each lose next to nothing may lose much together. So the plan
that looks best by the losses of single layers is measured whole, and again with each of its layers put back.

What a layer loses inside has a part that is chance: its errors and those of all others together lie at a random angle,
so that the product of both, which is large where its own are small, is added or taken away. How large that part is, the
layers tell together, and only what sticks out of it counts for one of them. The rule is our own.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from agents.search.look.layer_losses import LEAST, LayerLosses
from agents.search.look.recalled_losses import RecalledLosses
from shrinkml.plan.compression_plan import CompressionPlan

MOST = 16.0  # times that losses are raised, at most
LEAST_TIMES = 0.5  # that is left of them, at least: a layer that seems to lose nothing would be cut to nothing
SURE = 3.0  # standard deviations of chance at which half of what sticks out counts
ROUNDS = 3  # of finding what is usual among the layers that do not stick out
MEDIAN_OF_SQUARES = 0.455  # of a normal distribution of variance 1

Losses = npt.NDArray[np.float64]


def with_interplay(losses: LayerLosses, plan: CompressionPlan, measured: RecalledLosses) -> LayerLosses:
    """`losses`, of each layer times what it loses inside `plan` over what it loses alone.

    Layers that the plan leaves as they are get what is usual among the others.

    Args:
        losses: of single layers.
        plan: that looks best by them.
        measured: losses of plans on the same utterances.
    """
    whole = measured.loss(plan)
    alone = {name: losses.at(name, choice) for name, choice in plan}
    names = [name for name, loss in alone.items() if loss > LEAST]
    if not names or whole <= LEAST:
        return losses
    inside = [whole - measured.loss(_without(plan, name)) for name in names]
    times, usual = _times(np.array([alone[name] for name in names]), np.array(inside), whole)
    factors = dict(zip(names, times.tolist(), strict=True))
    return replace(losses, times={name: factors.get(name, usual) for name in losses.curves})


def _without(plan: CompressionPlan, name: str) -> CompressionPlan:
    return CompressionPlan({site: choice for site, choice in plan if site != name})


def _times(alone: Losses, inside: Losses, whole: float) -> tuple[Losses, float]:
    """The times that layers lose inside what they lose alone, and the usual ones.

    Args:
        alone: losses of the layers, each alone; above 0.
        inside: what is lost less without them.
        whole: loss of all together.
    """
    usual = 1.0
    for _ in range(ROUNDS):
        within = (inside - usual * alone) ** 2 <= SURE**2 * _chance(alone, inside, whole, usual)
        usual = float(np.clip(inside[within].sum() / alone[within].sum(), LEAST_TIMES, MOST))
    beyond, chance = inside - usual * alone, _chance(alone, inside, whole, usual)
    sticking_out = beyond * beyond**2 / np.maximum(beyond**2 + SURE**2 * chance, LEAST**2)
    return np.clip(usual + sticking_out / alone, LEAST_TIMES, MOST), usual


def _chance(alone: Losses, inside: Losses, whole: float, usual: float) -> Losses:
    """The variance of what the layers seem to lose inside, where it goes by what each and all together lose."""
    squares = (inside - usual * alone) ** 2 / (alone * whole)
    chance: Losses = float(np.median(squares)) / MEDIAN_OF_SQUARES * alone * whole
    return chance
