"""One weight that is to become 0; the check is its distance from there."""

import math

import pytest
import torch
from torch import nn

from shrinkml.training.guard import MAX_SETBACKS, Guard


class Course:
    """A training whose weight is set by hand."""

    def __init__(self, weight: float, rate: float = 1.0) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        self.set(weight)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1.0)
        self.setbacks = []
        self.checks = 0
        self.guard = Guard(self.check, on_setback=self.setbacks.append)
        self.guard.begin(self.module, self.optimizer)

    def check(self) -> float:
        self.checks += 1
        return abs(self.module.weight.item())

    def set(self, weight: float) -> None:
        nn.init.constant_(self.module.weight, weight)

    def step(self, weight: float, *, n: int = 1, loss: float = 0.0, epoch_ends: bool = False) -> None:
        self.set(weight)
        told = {"step": n, "loss": loss, "epoch_ends": epoch_ends}
        self.guard.after_step(self.module, self.optimizer, self.schedule, **told)


def test_a_model_that_gets_worse_has_its_best_weights_again_at_half_the_rate():
    course = Course(1.0)
    course.step(0.5, n=1)
    course.step(3.0, n=2)
    assert course.module.weight.item() == 0.5
    (setback,) = course.setbacks
    assert (setback.step, setback.loss, setback.best, setback.rate) == (2, 3.0, 0.5, 0.5)
    assert course.optimizer.param_groups[0]["lr"] == 0.5
    assert course.schedule.base_lrs == [0.5]


def test_a_little_worse_on_the_way_is_borne():
    course = Course(1.0)
    course.step(1.4)
    assert course.module.weight.item() == pytest.approx(1.4)
    assert course.setbacks == []


def test_a_loss_that_is_no_number_is_a_setback_at_once():
    course = Course(1.0)
    for n in range(1, 4):
        course.step(1.0, n=n, loss=math.nan if n == 3 else 0.0)
    assert [setback.step for setback in course.setbacks] == [3]


def test_checks_come_early_and_then_rarely_and_at_the_end_of_epochs():
    course = Course(1.0)
    for n in range(1, 101):
        course.step(1.0, n=n, epoch_ends=n == 100)
    assert course.checks == 1 + len((1, 2, 4, 8, 16, 32, 64)) + 1


def test_training_that_ends_worse_than_it_began_is_undone():
    course = Course(1.0)
    course.set(1.3)
    course.guard.end(course.module)
    assert course.module.weight.item() == 1.0
    course.set(0.9)
    course.guard.end(course.module)
    assert course.module.weight.item() == pytest.approx(0.9)


def test_it_gives_up_where_no_rate_is_low_enough():
    course = Course(1.0)
    for n in range(MAX_SETBACKS):
        assert not course.guard.gave_up
        course.step(9.0, n=n + 1)
    assert course.guard.gave_up
    assert course.setbacks[-1].rate == 0.0


def test_its_state_goes_on_in_another_guard():
    course, other = Course(1.0), Course(1.0)
    course.step(0.5)
    other.guard.load_state_dict(course.guard.state_dict())
    other.guard.begin(other.module, other.optimizer)
    other.step(3.0, n=2)
    assert other.module.weight.item() == 0.5
