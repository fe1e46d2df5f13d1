import math

import pytest

from envs.word_loss import MOST_LOST, word_loss


def test_it_is_minus_the_logarithm_of_the_share_of_words_that_survive():
    assert word_loss(0.55, 0.1) == pytest.approx(math.log(0.9 / 0.45))


def test_losses_of_parts_that_words_survive_independently_add_up():
    base, first, second = 0.1, 0.7, 0.8  # shares that survive
    together = 1.0 - (1.0 - base) * first * second
    alone = [1.0 - (1.0 - base) * share for share in (first, second)]
    assert word_loss(together, base) == pytest.approx(sum(word_loss(wer, base) for wer in alone))


@pytest.mark.parametrize("wer", [0.0, 0.05, 0.1])
def test_a_plan_that_loses_no_word_loses_nothing(wer):
    assert word_loss(wer, 0.1) == 0.0


def test_a_plan_that_ruins_the_recogniser_has_a_finite_loss():
    assert word_loss(3.0, 0.1) == word_loss(MOST_LOST, 0.1) == pytest.approx(math.log(0.9 / 0.001))
