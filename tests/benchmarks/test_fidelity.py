"""What the tables of `make bench-fidelity` say of its rows."""

import numpy as np
import pytest


def test_the_rank_correlation_is_spearmans_with_ties_at_their_mean_rank(bench):
    assert bench.rank_correlation(np.array([1, 2, 3]), np.array([10, 100, 101])) == pytest.approx(1.0)
    ranks = np.array([1.5, 1.5, 3, 4]), np.array([4, 2, 3, 1])
    by_hand = np.corrcoef(*ranks)[0, 1]
    assert bench.rank_correlation(np.array([5, 5, 6, 9]), np.array([0.9, 0.2, 0.3, 0.1])) == pytest.approx(by_hand)


def test_plans_that_are_all_tied_are_not_ranked(bench):
    assert bench.rank_correlation(np.array([2, 2, 2]), np.array([1, 2, 3])) == 0.0


def test_the_interval_is_over_the_plans_and_over_the_draws_of_the_utterances(bench):
    everywhere = np.arange(30.0)
    assert bench.interval([everywhere], everywhere) == pytest.approx([1.0, 1.0])
    low, high = bench.interval([everywhere, -everywhere], everywhere)
    assert (low, high) == pytest.approx((-1.0, 1.0))


def test_each_step_is_set_beside_the_one_before_and_the_naive_way(bench):
    lines = list(bench.step_cells({"the naive way": 12.0, "decomposed once": 6.0, "a proxy set": 1.0}))
    assert lines == [
        ["the naive way", "12.00", "1.00", "1.0"],
        ["decomposed once", "6.00", "2.00", "2.0"],
        ["a proxy set", "1.00", "6.00", "12.0"],
    ]


def test_it_is_told_from_how_many_utterances_on_plans_are_ranked_as_by_all_of_dev(bench):
    found = [
        {
            "plans": plans,
            "measure": measure,
            "utterances": n,
            "chosen": chosen,
            "with_all": 0.9 + n / 1000,
            "with_all_ci95": [0.8 + n / 4000, 1.0],
            "dev_with_test": 0.5,
        }
        for plans in bench.SETS
        for chosen in bench.CHOICES
        for measure, n in [("WER", 25), ("WER", 50), ("WER", 100), ("KL", 1)]
    ]
    first, *others = bench.enough(found)
    assert first == (
        "Plans far, utterances by speaker and duration: WER ranks them as all of dev does (0.95 or more) from 50 "
        "utterances on, the lower end of the interval from more than 400 on. "
        "All of dev ranks them as test does by 0.500."
    )
    assert len(others) == 5
