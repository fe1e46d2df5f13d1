import numpy as np
import pytest

from agents.strategies.agents.reproducible import reproducible
from agents.strategies.baselines.evolution import mutated_share
from agents.strategies.model_based.kept_policy import SHAPES
from agents.strategies.model_based.move_features import MOVES, N_FEATURES
from agents.strategies.model_based.move_policy import KEEP, MovePolicy
from shrinkml.errors import ConfigError

N_LAYERS = 6
REWARDED = 5  # index of a move: up by two


@pytest.fixture(autouse=True)
def torch_as_it_was():
    with reproducible():
        yield


@pytest.fixture
def seen():
    """[300, 6, N_FEATURES] features of 300 plans."""
    return np.random.default_rng(1).uniform(-1.0, 1.0, (300, N_LAYERS, N_FEATURES)).astype(np.float32)


@pytest.fixture
def all_allowed():
    return np.ones((300, N_LAYERS, len(MOVES)), bool)


def learned(seen, allowed, gain, *, steps=80):
    """A policy that was told so often the `gain` of each plan's moves."""
    policy, rng = MovePolicy(N_LAYERS, seed=0), np.random.default_rng(0)
    for _ in range(steps):
        policy.learn_(gain(policy.sample(seen, allowed, rng)))
    return policy


def test_untrained_it_moves_as_evolution_does_whatever_it_sees_and_all_moves_alike(seen, all_allowed):
    moves = MovePolicy(N_LAYERS, seed=0).sample(seen, all_allowed, np.random.default_rng(0))
    shares = np.bincount(moves.ravel(), minlength=len(MOVES)) / moves.size
    expected = np.full(len(MOVES), mutated_share(N_LAYERS) / (len(MOVES) - 1))
    expected[KEEP] = 1.0 - mutated_share(N_LAYERS)
    assert shares == pytest.approx(expected, abs=0.045)  # four standard errors of the largest


def test_it_learns_the_move_that_is_rewarded(seen, all_allowed):
    policy = learned(seen, all_allowed, lambda moves: (moves == REWARDED).mean(axis=1))
    moves = policy.sample(seen, all_allowed, np.random.default_rng(1))
    assert (moves == REWARDED).mean() > 0.5, "it was a 24th"


def test_it_learns_what_to_move_by_what_it_sees(seen, all_allowed):
    """The move is rewarded where the first feature is positive, and punished where it is not."""
    positive = seen[:, :, 0] > 0.0
    policy = learned(seen, all_allowed, lambda moves: ((moves == REWARDED) * np.where(positive, 1, -1)).mean(axis=1))
    moves = policy.sample(seen, all_allowed, np.random.default_rng(1))
    assert (moves == REWARDED)[positive].mean() > 3.0 * (moves == REWARDED)[~positive].mean()


def test_it_samples_no_move_that_is_not_allowed(seen):
    rng = np.random.default_rng(0)
    allowed = rng.random((300, N_LAYERS, len(MOVES))) < 0.3
    allowed[:, :, 0] |= ~allowed.any(axis=2)
    moves = MovePolicy(N_LAYERS, seed=0).sample(seen, allowed, rng)
    assert np.take_along_axis(allowed, moves[:, :, None], axis=2).all()


def test_of_no_plan_nothing_is_learned(all_allowed, seen):
    policy = MovePolicy(N_LAYERS, seed=0)
    before = policy.to_json()
    policy.sample(seen[:0], all_allowed[:0], np.random.default_rng(0))
    policy.learn_(np.zeros(0))
    assert policy.to_json() == before


def test_it_goes_on_from_what_another_learned(seen, all_allowed):
    first = learned(seen, all_allowed, lambda moves: (moves == REWARDED).mean(axis=1), steps=5)
    second = MovePolicy(N_LAYERS, seed=9, start=first.to_json())
    assert second.to_json() == first.to_json() != MovePolicy(N_LAYERS, seed=9).to_json()
    sampled = [policy.sample(seen, all_allowed, np.random.default_rng(4)) for policy in (first, second)]
    assert (sampled[0] == sampled[1]).all()


def test_its_seed_is_that_of_its_first_weights():
    weights = [MovePolicy(N_LAYERS, seed=seed).to_json()["hidden.weight"] for seed in (0, 0, 1)]
    assert weights[0] == weights[1] != weights[2]


def test_it_starts_from_no_policy_of_another_form():
    with pytest.raises(ConfigError, match=r"a policy holds hidden\.weight.*; here is a"):
        MovePolicy(N_LAYERS, seed=0, start={"a": [1.0]})
    with pytest.raises(ConfigError, match=r"moves\.bias of a policy must be finite numbers, 7 of them"):
        MovePolicy(
            N_LAYERS, seed=0, start={name: np.zeros(s).tolist() for name, s in SHAPES.items()} | {"moves.bias": [0.0]}
        )
