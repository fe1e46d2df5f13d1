"""The problem of a small recogniser whose recurrent units other matrices multiply."""

import numpy as np

from envs.levers import cheaper_choices
from envs.problem import CompressionProblem
from envs.rank_options import site_problem
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import Feed, LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import byte_prices, mac_prices, parameter_prices

FIRST, SECOND = Feed("first.ih", 0, 64, 4), Feed("second.ih", 2, 48, 3)
COST = ModelCost(
    (
        LayerSpec("first.ih", "lstm_input", 256, 40, 1.0, biases=256, follower="first.hh", gates=4),
        LayerSpec("first.hh", "lstm_recurrent", 256, 64, 1.0, biases=256, gates=4),
        LayerSpec("second.ih", "lstm_input", 144, 128, 0.5, 32, 144, "second.hh", 3, (FIRST, FIRST._replace(first=64))),
        LayerSpec("second.hh", "lstm_recurrent", 144, 48, 0.5, biases=144, gates=3),
        LayerSpec("output", "linear", 80, 114, 2.0, biases=80, fed_by=(SECOND, FIRST._replace(first=50))),
    ),
    other=Cost(880, 3520),
)
PRICES = {
    "parameters": parameter_prices(COST),
    "bytes": byte_prices(COST, COST.cost(CompressionPlan()).bytes),
    "macs": mac_prices(COST),
}


def wired_problem(resource: str = "parameters", ratio: float = 2.0) -> CompressionProblem:
    """Its problem, of ranks, units and, where bytes count, bits."""
    levers = ("units", "rank", "bits") if resource == "bytes" else ("units", "rank")
    choices = cheaper_choices(COST.layers, CompressionPlan(), levers, PRICES[resource])
    return site_problem(
        COST,
        choices=choices,
        prices=PRICES[resource],
        compression_ratio=ratio,
        spectra={layer.name: np.linspace(2.0, 1.0, layer.out_features).tolist() for layer in COST.layers},
        baseline_wer=0.1,
    )
