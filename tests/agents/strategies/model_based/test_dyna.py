import json
import math

import numpy as np
import pytest

from agents.search.search_result import SearchResult
from agents.strategies.agents.reproducible import reproducible
from agents.strategies.baselines.evolution import mutated_share
from agents.strategies.baselines.random import random_entries
from agents.strategies.model_based.dyna import LearnedMutation, dyna
from agents.strategies.model_based.kept_policy import SHAPES, as_policy, read_policy, write_policy
from agents.strategies.model_based.move_features import MOVES, N_FEATURES, MoveFeatures
from agents.strategies.model_based.move_policy import MovePolicy
from envs.budget import Budget
from envs.toys import coupled, recogniser, separable
from shrinkml.errors import ConfigError
from tests.agents.toy_search import few_generations, search, telling

KEEP = len(MOVES) // 2


@pytest.fixture(scope="module", autouse=True)
def evolving_little():
    with few_generations():
        yield


@pytest.fixture(scope="module")
def toy():
    return telling(recogniser())


@pytest.fixture(scope="module")
def plans(toy):
    """[200, n_layers] entries within the budget."""
    budget, rng = Budget.of(toy.problem), np.random.default_rng(0)
    return np.array([random_entries(budget, rng) for _ in range(200)])


@pytest.fixture(scope="module")
def features(toy):
    return MoveFeatures.of(toy.problem.decisions, Budget.of(toy.problem), toy.word_losses)


@pytest.fixture(autouse=True)
def torch_as_it_was():
    with reproducible():
        yield


@pytest.fixture(scope="module")
def learned():
    """A policy of a search of another toy."""
    return search("dyna", telling(coupled()), evaluations=40).policy


def test_features_lie_about_between_minus_one_and_one_whatever_the_model(features, plans):
    found = features.at(plans)
    assert found.shape == (*plans.shape, N_FEATURES)
    assert np.abs(found).max() <= 1.5
    small = separable()
    other = MoveFeatures.of(small.problem.decisions, Budget.of(small.problem), small.word_losses)
    assert other.at(np.zeros((1, 6), int)).shape == (1, 6, N_FEATURES)


def test_a_move_up_costs_and_a_move_down_loses_and_none_does_neither(features, plans):
    losses, prices = np.split(features.at(plans)[:, :, -2 * len(MOVES) :], 2, axis=2)
    assert (losses[:, :, :KEEP] >= 0.0).all()
    assert (prices[:, :, :KEEP] <= 0.0).all()
    assert (losses[:, :, KEEP + 1 :] <= 0.0).all()
    assert (prices[:, :, KEEP + 1 :] >= 0.0).all()
    assert (losses[:, :, KEEP] == 0.0).all()
    assert (prices[:, :, KEEP] == 0.0).all()


def test_no_move_leaves_a_menu(toy, features, plans):
    policy, rng = MovePolicy(plans.shape[1], seed=0), np.random.default_rng(0)
    moved, _ = LearnedMutation(policy, features, rng)(plans)
    assert (moved >= 0).all()
    assert (moved <= features.lasts).all()


def test_untrained_it_moves_as_many_layers_as_evolution_does(features, plans):
    policy, rng = MovePolicy(plans.shape[1], seed=0), np.random.default_rng(0)
    moves = policy.sample(features.at(plans), np.ones((*plans.shape, len(MOVES)), bool), rng)
    n, expected = moves.size, mutated_share(plans.shape[1])
    assert (moves != KEEP).mean() == pytest.approx(expected, abs=4.0 * math.sqrt(expected * (1 - expected) / n))


def test_it_learns_the_moves_that_gain(features, plans):
    """Here a move up of a recurrent matrix gains, and one of another loses."""
    policy, rng = MovePolicy(plans.shape[1], seed=0), np.random.default_rng(0)
    recurrent = features.fixed[:, 2] == 1.0
    seen, allowed = features.at(plans), np.ones((*plans.shape, len(MOVES)), bool)

    def up():
        return policy.sample(seen, allowed, rng) > KEEP

    before = up()
    for _ in range(60):
        moved = up()
        policy.learn_(moved[:, recurrent].mean(axis=1) - moved[:, ~recurrent].mean(axis=1))
    after = up()
    assert after[:, recurrent].mean() > 2.0 * before[:, recurrent].mean()
    assert after[:, recurrent].mean() > 2.0 * after[:, ~recurrent].mean()


def test_where_all_gain_alike_it_grows_less_sure_instead_of_failing(features, plans):
    policy, rng = MovePolicy(plans.shape[1], seed=0), np.random.default_rng(0)
    for _ in range(20):
        moves = policy.sample(features.at(plans), features.allowed(plans), rng)
        policy.learn_(np.zeros(len(plans)))
    assert (moves != KEEP).mean() > mutated_share(plans.shape[1])


@pytest.fixture
def settled():
    """What is kept of a policy that leaves every layer alone."""
    kept = {name: np.zeros(shape).tolist() for name, shape in SHAPES.items()}
    kept["moves.bias"][KEEP] = 50.0
    return kept


@pytest.mark.parametrize("n", [1, 2, 96])
def test_plans_that_the_policy_would_leave_as_they_are_are_mutated_at_random(features, plans, settled, n):
    policy = MovePolicy(plans.shape[1], seed=0, start=settled)
    _, mutated = LearnedMutation(policy, features, np.random.default_rng(0))(plans[:n])
    assert mutated.any(axis=1).all()


def test_every_other_plan_is_mutated_at_random_whatever_the_policy_does(features, plans, settled):
    settled["moves.bias"][-1] = 100.0  # up by three, every layer
    policy = MovePolicy(plans.shape[1], seed=0, start=settled)
    entries, mutated = LearnedMutation(policy, features, np.random.default_rng(0))(plans)
    up = features.allowed(plans)[:, :, -1]
    assert (entries - plans == MOVES[-1])[1::2][up[1::2]].all()
    assert mutated[::2].mean() == pytest.approx(mutated_share(plans.shape[1]), abs=0.1)


def test_it_does_not_learn_from_plans_that_chance_mutated_or_that_lost(features, plans, settled):
    policy = MovePolicy(plans.shape[1], seed=0, start=settled)
    mutation = LearnedMutation(policy, features, np.random.default_rng(0))
    mutation(plans)
    mutation.learn_(np.linspace(1.0, 2.0, len(plans)))
    again = MovePolicy(plans.shape[1], seed=0, start=settled)
    again.sample(features.at(plans[1::2]), features.allowed(plans[1::2]), np.random.default_rng(0))
    again.learn_(-np.linspace(1.0, 2.0, len(plans) // 2))
    assert policy.to_json()["moves.bias"] == pytest.approx(again.to_json()["moves.bias"])


def test_a_search_returns_a_policy_that_another_model_s_search_goes_on_from(toy, learned):
    first = search("dyna", toy, evaluations=16)
    again = search_from(toy, None)
    kept = search_from(toy, learned)
    assert again == first
    assert kept.trials != first.trials
    assert as_policy(kept.policy) == kept.policy != first.policy


def test_the_policy_survives_json(toy, learned, tmp_path):
    found = search_from(toy, learned)
    result = SearchResult.from_json(json.loads(json.dumps(found.to_json())))
    assert result.policy == found.policy
    write_policy(result.policy, tmp_path / "policy.json")
    assert read_policy(tmp_path / "policy.json") == result.policy
    assert [path.name for path in tmp_path.iterdir()] == ["policy.json"]


def test_results_of_before_had_no_policy(toy):
    result = search("greedy", toy)
    value = result.to_json()
    del value["policy"]
    assert SearchResult.from_json(value) == result


def test_an_agent_that_measures_layers_itself_learns_too(make_search):
    found = make_search(recogniser(), evaluations=12)
    assert as_policy(dyna(found)).keys() == SHAPES.keys() | {"kinds"}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1.0], "a policy holds hidden.weight.*; here is a list"),
        ({}, "here is nothing"),
        ({"a": 1}, "here is a$"),
        ({key: [[1.0, "x"]] for key in SHAPES}, "hidden.weight of a policy must be finite numbers, 32 by 24"),
        ({key: [1.0] for key in SHAPES}, "hidden.weight of a policy must be finite numbers, 32 by 24"),
        ({name: np.full(s, np.nan).tolist() for name, s in SHAPES.items()}, "must be finite numbers"),
        ({name: np.full(s, 1e39).tolist() for name, s in SHAPES.items()}, "must be finite numbers"),
        ({name: np.full(s, 10**400).tolist() for name, s in SHAPES.items()}, "must be finite numbers"),
        ({name: np.full(s, "0.5").tolist() for name, s in SHAPES.items()}, "must be finite numbers"),
        ({str(i): i for i in range(1000)}, r"here is 0, 1, 2.{0,80}$"),
    ],
)
def test_what_is_no_policy_is_refused(value, why, toy):
    with pytest.raises(ConfigError, match=why):
        as_policy(value)
    with pytest.raises(ConfigError, match=why):
        search_from(toy, value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        ("{", "is none"),
        ("[" * 100_000, "is none"),
        ("[]", "is none: a policy"),
        ("\udcff", "is none"),
    ],
    ids=["no file", "no JSON", "too deep", "a list", "no text"],
)
def test_a_file_without_a_policy_is_refused(content, why, tmp_path):
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=f"search.policy: .*{why}.*; take the policy.json of a run"):
        read_policy(path)


def search_from(toy, policy):
    return search("dyna", toy, evaluations=16, policy=policy)
