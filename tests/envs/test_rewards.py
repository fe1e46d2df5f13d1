import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.rewards import REWARDS

wers = st.floats(0.0, 5.0)
sizes = st.integers(1, 2_000_000)
MODEL = {"budget": 200_000, "original": 1_000_000, "baseline_wer": 0.05}


@pytest.mark.parametrize("name", REWARDS)
@given(wer=wers, price=sizes)
def test_every_reward_is_finite(name, wer, price):
    assert math.isfinite(REWARDS[name](wer=wer, price=price, **MODEL))


@pytest.mark.parametrize("name", REWARDS)
@given(wers=st.tuples(wers, wers), price=sizes)
def test_no_reward_rises_with_the_wer(name, wers, price):
    better, worse = (REWARDS[name](wer=wer, price=price, **MODEL) for wer in sorted(wers))
    assert better >= worse


@pytest.mark.parametrize("name", REWARDS)
@given(wer=wers, sizes=st.tuples(sizes, sizes))
def test_no_reward_rises_with_the_size(name, wer, sizes):
    smaller, larger = (REWARDS[name](wer=wer, price=size, **MODEL) for size in sorted(sizes))
    assert smaller >= larger


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_prefers_the_lower_wer_at_equal_size(name):
    good, bad = (REWARDS[name](wer=wer, price=150_000, **MODEL) for wer in (0.06, 0.07))
    assert good > bad


# To ours, no plan hears better than the model that it cuts.
@pytest.mark.parametrize("name", sorted(REWARDS.keys() - {"log_damage"}))
def test_published_rewards_prefer_the_lower_wer_below_the_baselines_as_well(name):
    good, bad = (REWARDS[name](wer=wer, price=150_000, **MODEL) for wer in (0.02, 0.03))
    assert good > bad


@pytest.mark.parametrize(
    ("name", "wer", "price", "expected"),
    [
        ("budget_wall", 0.25, 200_000, -0.25),
        ("budget_wall", 0.25, 200_001, -1.0),
        ("budget_wall", 3.0, 200_000, -1.0),
        ("error_log_size", 0.5, 1_000, -0.25),
        ("error_log_size", 0.5, 1_000_000, -0.5),
        ("punish", 0.25, 200_000, 0.75),
        ("punish", 0.25, 300_000, -0.1),
        ("harmonic", 0.2, 200_000, 0.8),
        ("harmonic", 0.5, 0, 2 / 3),
        ("harmonic", 1.0, 1_000_000, 0.0),
        ("harmonic", 0.0, 1_500_000, 0.0),
        ("relative", 0.05, 200_000, 0.0),
        ("relative", 0.25, 200_000, -2.0),
        ("relative", 0.0, 200_000, 0.5),
        ("relative", 3.0, 200_000, -9.5),
    ],
)
def test_rewards_follow_their_published_formulas(name, wer, price, expected):
    assert REWARDS[name](wer=wer, price=price, **MODEL) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wer", "price", "damage"),
    [
        (0.05, 200_000, 0.0),
        (0.01, 200_000, 0.0),  # no better than the model that is cut
        (0.05 + 0.95 / 4, 200_000, math.log(4 / 3)),  # a quarter of the words that it understood
        (0.05, 200_001, math.log(0.95 / 0.001)),
        (3.0, 200_000, math.log(0.95 / 0.001)),
    ],
)
def test_our_reward_falls_with_the_logarithm_of_the_damage(wer, price, damage):
    reward = REWARDS["log_damage"](wer=wer, price=price, **MODEL)
    assert reward == pytest.approx(-math.log(damage + 0.001))
