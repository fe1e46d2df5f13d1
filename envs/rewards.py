"""The rewards of an episode: one number from the plan's WER and price.

Every reward is finite, never rises with the WER nor with the price, and takes plain numbers. WER may exceed 1 (a
recogniser that babbles); it is clipped to 1, since a plan that gets every word wrong is lost anyway and one such
episode must not drown the differences among useful plans.

References:
    He et al. 2018, AMC: AutoML for Model Compression, arXiv:1802.03494, section 3.3.
    Wang et al. 2019, HAQ: Hardware-Aware Automated Quantization with Mixed Precision, arXiv:1811.08886, section 3.3.
    Intel AI Lab 2019, Distiller, examples/auto_compression/amc/rewards.py.
"""

import math
from typing import Protocol

from envs.word_loss import LEAST_WORD_LOSS, word_loss

RELATIVE_SCALE = 10.0  # HAQ's 0.1 per percentage point


class Reward(Protocol):
    """Scores a finished episode."""

    def __call__(self, *, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
        """The reward.

        Args:
            wer: of the plan, a fraction; 0 or more.
            price: of the whole model under the plan, in what the search saves (parameters, unless it says otherwise).
            budget: the most that it may be.
            original: price of the model that ratios count from.
            baseline_wer: of the model that the search starts from, a fraction.
        """
        ...


def budget_wall(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """-error inside the budget, -1 (every word wrong) outside; in [-1, 0].

    AMC's R_err = -Error, for a search that the action wall keeps inside the budget.
    """
    return -_error(wer) if price <= budget else -1.0


def error_log_size(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """-error * log(price), as a fraction of the worst value; in [-1, 0].

    AMC's R_param = -Error * log(#Param), its "accuracy-guaranteed" reward: size counts for less the closer the model is
    to no error. Divided by log(original), a constant of the model, so that all rewards have one scale.
    """
    return -_error(wer) * math.log(price) / math.log(original)


def punish(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """The accuracy inside the budget; outside, minus the distance to it as a fraction of the original; in [-1, 1].

    Distiller's punish-agent reward, which counts MACs.
    """
    if price > budget:
        return (budget - price) / original
    return 1.0 - _error(wer)


def harmonic(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """The harmonic mean of the accuracy and of the share of the price saved; in [0, 1].

    Distiller's harmonic-mean reward with equal weights. Its code takes the share (of MACs) kept, and so rises with the
    size; here it is the share saved, as the purpose of the mean asks.
    """
    accuracy, saved = 1.0 - _error(wer), max(0.0, 1.0 - price / original)
    return 2.0 * accuracy * saved / (accuracy + saved) if accuracy + saved > 0.0 else 0.0


def relative(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """A tenth of the percentage points that the accuracy gains over the baseline's, mostly negative; in [-10, 10].

    HAQ's reward, 0.1 * (accuracy - original accuracy), for a search that the action wall keeps inside the budget.
    """
    return RELATIVE_SCALE * (_error(baseline_wer) - _error(wer))


def log_word_loss(*, wer: float, price: int, budget: int, original: int, baseline_wer: float) -> float:
    """Minus the logarithm of the word loss (`envs.word_loss`) inside the budget, that of the worst outside; in [-2, 7].

    Our own. What counts among good plans is by which factor one loses less than another: 0.1 points are much where half
    a point was lost, and nothing where twenty were.
    """
    lost = word_loss(wer if price <= budget else 1.0, baseline_wer)
    return -math.log(lost + LEAST_WORD_LOSS)


REWARDS: dict[str, Reward] = {
    "budget_wall": budget_wall,
    "error_log_size": error_log_size,
    "punish": punish,
    "harmonic": harmonic,
    "relative": relative,
    "log_damage": log_word_loss,
}


def _error(wer: float) -> float:
    return min(max(wer, 0.0), 1.0)
