"""What an episode is worth: one number from the plan's WER and size.

Every reward is finite, never rises with the WER nor with the size, and takes plain numbers. WER may exceed 1 (a
recogniser that babbles); it is clipped to 1, since a plan that gets every word wrong is lost anyway and one such
episode must not drown the differences among useful plans.

References:
    He et al. 2018, AMC: AutoML for Model Compression, arXiv:1802.03494, section 3.3.
    Intel AI Lab 2019, Distiller, examples/auto_compression/amc/rewards.py.
"""

import math
from typing import Protocol


class Reward(Protocol):
    """Scores a finished episode."""

    def __call__(self, *, wer: float, parameters: int, budget: int, dense_parameters: int) -> float:
        """The reward.

        Args:
            wer: of the plan, a fraction; 0 or more.
            parameters: of the whole model under the plan.
            budget: parameters that it may have.
            dense_parameters: of the model with every layer dense.
        """
        ...


def budget_wall(*, wer: float, parameters: int, budget: int, dense_parameters: int) -> float:
    """-error inside the budget, -1 (every word wrong) outside; in [-1, 0].

    AMC's R_err = -Error, for a search that the action wall keeps inside the budget.
    """
    return -_error(wer) if parameters <= budget else -1.0


def error_log_size(*, wer: float, parameters: int, budget: int, dense_parameters: int) -> float:
    """-error * log(parameters), as a fraction of the worst value; in [-1, 0].

    AMC's R_param = -Error * log(#Param), its "accuracy-guaranteed" reward: size counts for less the closer the model is
    to no error. Divided by log(dense_parameters), a constant of the model, so that all rewards have one scale.
    """
    return -_error(wer) * math.log(parameters) / math.log(dense_parameters)


def punish(*, wer: float, parameters: int, budget: int, dense_parameters: int) -> float:
    """The accuracy inside the budget; outside, minus the distance to it as a fraction of the dense model; in [-1, 1].

    Distiller's punish-agent reward, with parameters for its MACs.
    """
    if parameters > budget:
        return (budget - parameters) / dense_parameters
    return 1.0 - _error(wer)


REWARDS: dict[str, Reward] = {"budget_wall": budget_wall, "error_log_size": error_log_size, "punish": punish}


def _error(wer: float) -> float:
    return min(max(wer, 0.0), 1.0)
