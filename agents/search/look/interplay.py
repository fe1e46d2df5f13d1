"""The interplay of cut layers: what each loses inside a model that is cut already, not alone.

On pretrained models losses do not add up: layers that each lose next to nothing lose much together. So the plan that
looks best by the losses of single layers is measured whole, and again with each of its layers put back. The losses of
a layer are raised by what it loses there over what it loses alone. The rule is our own.
"""

from dataclasses import replace

import numpy as np

from agents.search.look.layer_losses import LEAST, LayerLosses
from agents.search.look.recalled_losses import RecalledLosses
from shrinkml.plan.compression_plan import CompressionPlan

MOST = 16.0  # times that losses are raised, at most: a quotient of small losses is mostly noise
LEAST_TIMES = 0.5  # that is left of them, at least: a layer that seems to lose nothing would be cut to nothing


def with_interplay(losses: LayerLosses, plan: CompressionPlan, measured: RecalledLosses) -> LayerLosses:
    """`losses`, of each layer times what it loses inside `plan` over what it loses alone.

    Layers that the plan leaves as they are get the median of the others.

    Args:
        losses: of single layers.
        plan: that looks best by them.
        measured: losses of plans on the same utterances.
    """
    whole = measured.loss(plan)
    factors = {}
    for name, choice in plan:
        without = CompressionPlan({site: other for site, other in plan if site != name})
        inside = max(0.0, whole - measured.loss(without))
        alone = losses.at(name, choice)
        if alone > LEAST:
            factors[name] = float(np.clip(inside / alone, LEAST_TIMES, MOST))
    if not factors:
        return losses
    usual = float(np.median([*factors.values()]))
    return replace(losses, times={name: factors.get(name, usual) for name in losses.curves})
