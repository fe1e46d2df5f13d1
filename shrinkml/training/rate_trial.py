"""A short range test of learning rates: a few steps at each of some rates, and the one that helps most.

A model that others trained tells nothing of the rate that it bears: one trained for long takes a hundredth of what a
small one of ours does. How many rates and steps there are is our own choice.

References:
    Smith 2017, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186 (range test).
"""

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset

SHARES = (1.0, 0.25, 0.0625, 0.015625)  # of the highest rate, that are tried
N_UTTERANCES = 64
BATCH_SIZE = 4  # so that a rate shows in sixteen steps what it does


@dataclass(frozen=True, slots=True)
class RateTrial:
    """A rate that was tried.

    Attributes:
        rate: at its peak.
        loss: after a few steps, on held-out speech, nats per token; infinite where it is no number.
    """

    rate: float
    loss: float


class Attempt(Protocol):
    """Trains a model in place for one pass over a few utterances."""

    def __call__(self, model: AsrModel, indices: Sequence[int], /, *, learning_rate: float, batch_size: int) -> None:
        """Train on the utterances at `indices`."""
        ...


def try_rates(
    model: AsrModel,
    speech: Dataset,
    attempt: Attempt,
    check: Callable[[], float],
    *,
    highest: float,
    seed: int,
) -> list[RateTrial]:
    """The trials of some rates up to `highest`; the model has its first weights again afterwards.

    Args:
        model: to be trained.
        speech: that it is to learn from.
        attempt: trains it.
        check: its loss on held-out speech.
        highest: rate to try.
        seed: of the choice of utterances.
    """
    chosen = random.Random(seed).sample(range(len(speech)), min(N_UTTERANCES, len(speech)))
    module: nn.Module = model.module
    first = copy.deepcopy(module.state_dict())
    trials = []
    for share in SHARES:
        attempt(model, chosen, learning_rate=share * highest, batch_size=BATCH_SIZE)
        loss = check()
        trials.append(RateTrial(share * highest, loss if math.isfinite(loss) else math.inf))
        module.load_state_dict(first)
    return trials


def best_rate(trials: Sequence[RateTrial]) -> float:
    """The rate of the lowest loss; of equals the lowest."""
    return min(trials, key=lambda trial: (trial.loss, trial.rate)).rate
