"""A model of one weight, whose loss is the distance of that weight from 3."""

import math

import pytest
import torch
from torch import nn

from shrinkml.training.dataset import Dataset
from shrinkml.training.rate_trial import SHARES, RateTrial, best_rate, try_rates


class OneWeight:
    """Only what a trial asks of a recogniser."""

    def __init__(self) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.module.weight, 1.0)


def test_each_rate_is_tried_from_the_same_weights():
    model, speech = OneWeight(), Dataset([torch.zeros(1, 1)] * 5, ["a"] * 5, [1.0] * 5, [None] * 5)
    heard = []

    def attempt(model, indices, /, *, learning_rate, batch_size):
        heard.append(sorted(indices))
        nn.init.constant_(model.module.weight, model.module.weight.item() + learning_rate)

    def check():
        return abs(model.module.weight.item() - 3.0)

    trials = try_rates(model, speech, attempt, check, highest=8.0, seed=0)
    assert [trial.rate for trial in trials] == [8.0 * share for share in SHARES]
    assert [trial.loss for trial in trials] == pytest.approx([abs(1.0 + 8.0 * share - 3.0) for share in SHARES])
    assert best_rate(trials) == 2.0
    assert model.module.weight.item() == 1.0
    assert heard == [[0, 1, 2, 3, 4]] * len(SHARES)


def test_a_rate_that_gives_no_number_is_never_best():
    assert best_rate([RateTrial(1.0, math.inf), RateTrial(0.1, 2.0)]) == 0.1
