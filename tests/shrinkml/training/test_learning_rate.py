import pytest

from shrinkml.training.learning_rate import HIGHEST, LOWEST, learning_rate_for


def test_it_rises_with_what_was_lost_within_bounds():
    rates = [learning_rate_for(lost) for lost in (0.0, 0.01, 0.05, 0.1, 1.0)]
    assert rates == sorted(set(rates))
    assert (rates[0], rates[-1]) == (LOWEST, HIGHEST)


def test_four_times_the_loss_asks_for_twice_the_rate():
    assert learning_rate_for(0.04) == pytest.approx(2 * learning_rate_for(0.01))


def test_a_model_that_became_better_is_touched_gently():
    assert learning_rate_for(-0.01) == LOWEST
