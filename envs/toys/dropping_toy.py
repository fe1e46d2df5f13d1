"""A toy of four modules of two matrices each, of which one does next to nothing: the best plan drops it.

No spectrum shows that: what its matrices keep of their energy looks as at the others. Its word loss tells it, to
whoever has it judged without the module, or is told what is to be expected. The others cannot be dropped without losing
most of the words, and their matrices can have lower ranks.
"""

import numpy as np

from envs.decision import Decision, Option
from envs.menus import build_menus
from envs.problem import CompressionProblem
from envs.rank_options import MODULE, retained_energy
from envs.toys.rank_toys import spectra
from envs.toys.toy import BASE_WER, Toy
from shrinkml.plan.branch_spec import BranchSpec
from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import parameter_prices
from shrinkml.plan.site_prices import LEAST

SEED = 11
RATIO = 5.0  # of parameters
MENU_STEPS = 5
SHAPES = ((64, 48), (48, 64))  # of the matrices of each module
OWN = Cost(96, 384)  # of a module, beside them
MODULE_LOSSES = (1.5, 0.001, 1.2, 1.8)  # words lost without each module
IDLE = 1  # of those, the one that does next to nothing
SCALE = 0.6  # of the word losses of matrices


def dropping() -> Toy:
    """Four modules that may be dropped, one of which should be."""
    rng = np.random.default_rng(SEED)
    modules = {
        f"block{i}": tuple(LayerSpec(f"block{i}.layer{j}", "linear", *shape) for j, shape in enumerate(SHAPES))
        for i in range(len(MODULE_LOSSES))
    }
    layers = tuple(layer for inside in modules.values() for layer in inside)
    branches = tuple(
        BranchSpec(name, DROPPED, tuple(layer.name for layer in inside), OWN) for name, inside in modules.items()
    )
    prices = parameter_prices(ModelCost(layers, NOTHING, branches))
    menus = build_menus(layers, current_ranks=CompressionPlan(), steps=MENU_STEPS)
    known = spectra(layers, rng)
    decisions: list[Decision] = []
    losses: list[tuple[float, ...]] = []
    for (name, inside), lost in zip(modules.items(), MODULE_LOSSES, strict=True):
        dropped, kept_whole = Option(DROPPED, NOTHING, LEAST, 0.0), Option(DENSE, OWN, OWN.parameters, 1.0)
        decisions.append(Decision(name, MODULE, (1, OWN.parameters), (dropped, kept_whole)))
        losses.append((lost, 0.0))
        for layer in inside:
            kept = retained_energy(known[layer.name], menus[layer.name])
            choices = [Choice(rank=rank) for rank in menus[layer.name]]
            costs = [layer.cost_at(choice) for choice in choices]
            options = tuple(
                Option(choice, cost, cost.parameters, share)
                for choice, cost, share in zip(choices, costs, kept, strict=True)
            )
            decisions.append(
                Decision(layer.name, layer.kind, (layer.out_features, layer.in_features), options, parent=name)
            )
            sensitivity = SCALE * float(rng.lognormal(0.0, 0.5))
            losses.append(tuple(sensitivity * (1.0 - share) ** 2 for share in kept))
    return Toy(CompressionProblem(tuple(decisions), NOTHING, prices, RATIO, BASE_WER), tuple(losses))
