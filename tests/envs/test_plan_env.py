import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as sb3_check

from envs.budget import Budget
from envs.plan_env import REACH, ContinuousPlanEnv, PlanEnv
from envs.projection import fit_to_budget
from envs.rewards import REWARDS
from envs.toys import TOYS, mixed, recogniser, separable
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan

KEEP_ALL = np.int64(REACH)
shapes = st.lists(st.tuples(st.integers(2, 64), st.integers(2, 64)), min_size=1, max_size=6)


def make_env(kind, toy, *, reference=None, evaluate=None):
    return kind(toy.problem, evaluate or toy.evaluate, reward=REWARDS["budget_wall"], reference=reference)


def filled_plan(toy):
    """A plan that uses the budget, cheaply found."""
    budget = Budget.of(toy.problem)
    return budget.plan(fit_to_budget(budget.cheapest, budget, toy.problem.retained_energies))


def finish(env, choose):
    env.reset()
    done = False
    while not done:
        _, reward, done, truncated, info = env.step(choose(env))
        assert not truncated
    return reward, info


@pytest.mark.parametrize("deviating", [False, True])
@pytest.mark.parametrize("kind", [PlanEnv, ContinuousPlanEnv])
@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("check", [gymnasium_check, sb3_check])
def test_environments_pass_the_checkers_without_a_warning(check, toy, kind, deviating):
    toy = TOYS[toy]()
    env = make_env(kind, toy, reference=(lambda: filled_plan(toy)) if deviating else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(env, skip_render_check=True)


@pytest.mark.parametrize("deviating", [False, True])
@given(shapes=shapes, ratio=st.floats(1.01, 8.0), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_walk_along_the_mask_ends_inside_the_budget(make_problem, deviating, shapes, ratio, seed):
    problem = make_problem(shapes, compression_ratio=ratio)
    try:
        cheapest = Budget.of(problem).plan(Budget.of(problem).cheapest)
    except PlanError:
        return  # out of reach for these layers
    rng = np.random.default_rng(seed)
    reference = (lambda: cheapest) if deviating else None
    env = PlanEnv(problem, lambda plan: 0.5, reward=REWARDS["budget_wall"], reference=reference)
    _, info = finish(env, lambda env: rng.choice(np.flatnonzero(env.action_masks())))
    assert problem.cost(info["plan"]).parameters <= problem.limit


@pytest.mark.parametrize("kind", [PlanEnv, ContinuousPlanEnv])
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_actions_that_ignore_the_mask_end_inside_the_budget_too(kind, seed):
    toy = separable()
    env = make_env(kind, toy)
    env.action_space.seed(seed)
    _, info = finish(env, lambda env: env.action_space.sample())
    assert toy.problem.cost(info["plan"]).parameters <= toy.problem.limit


def test_the_reward_comes_at_the_last_step_with_plan_and_wer():
    toy = separable()
    reward, info = finish(make_env(PlanEnv, toy), lambda env: np.int64(0))
    assert info["wer"] == toy.evaluate(info["plan"])
    assert reward == -info["wer"]


def test_the_plan_is_judged_once_per_episode():
    toy, judged = separable(), []
    env = make_env(PlanEnv, toy, evaluate=lambda plan: judged.append(plan) or 0.1)
    _, info = finish(env, lambda env: np.int64(1))
    assert judged == [info["plan"]]


def test_the_best_plan_can_be_reached_by_choosing_its_entries():
    toy = separable()
    entries = iter(Budget.of(toy.problem).entries(toy.best_plan()))
    _, info = finish(make_env(PlanEnv, toy), lambda env: np.int64(next(entries)))
    assert info["plan"] == toy.best_plan()


def test_no_deviation_gives_the_reference_back():
    toy = separable()
    _, info = finish(make_env(PlanEnv, toy, reference=toy.best_plan), lambda env: KEEP_ALL)
    assert info["plan"] == toy.best_plan()


def test_a_deviation_moves_its_layer_and_lets_the_others_pay():
    toy = separable()
    budget = Budget.of(toy.problem)
    env = make_env(PlanEnv, toy, reference=toy.best_plan)
    actions = iter([KEEP_ALL + 1, *[KEEP_ALL] * 5])
    _, info = finish(env, lambda env: next(actions))
    before, after = budget.entries(toy.best_plan()), budget.entries(info["plan"])
    assert after[0] == before[0] + 1
    assert after[1:] != before[1:]


def test_each_episode_deviates_from_the_reference_of_its_start():
    toy = separable()
    budget = Budget.of(toy.problem)
    first, second = toy.best_plan(), make_other_plan(toy)
    references = iter([first, first, second])
    env = make_env(PlanEnv, toy, reference=lambda: next(references))  # the first call is the constructor's
    assert [budget.entries(finish(env, lambda env: KEEP_ALL)[1]["plan"]) for _ in range(2)] == [
        budget.entries(first),
        budget.entries(second),
    ]


def make_other_plan(toy):
    _, info = finish(make_env(PlanEnv, toy), lambda env: np.int64(0))
    return info["plan"]


def test_continuous_actions_span_the_entries_that_the_budget_allows():
    toy = separable()
    plans = [finish(make_env(ContinuousPlanEnv, toy), lambda env, a=a: np.array([a], np.float32))[1] for a in (-1, 1)]
    discrete = [
        finish(make_env(PlanEnv, toy), lambda env, pick=pick: np.flatnonzero(env.action_masks())[pick])[1]
        for pick in (0, -1)
    ]
    assert plans == discrete


@pytest.mark.parametrize(
    ("value", "moved"), [(0.0, 0), (0.75, 0), (-0.75, 0), (0.8, 1), (-0.8, -1), (0.9, 2), (1.0, 3), (-1.0, -3)]
)
def test_small_continuous_actions_leave_a_layer_to_the_budget_and_larger_ones_move_it(value, moved):
    toy = recogniser()
    budget, plan = Budget.of(toy.problem), filled_plan(toy)
    before = budget.entries(plan)
    layer = next(i for i, entry in enumerate(before) if 2 <= entry < len(budget.weights[i]) - 2)  # room on both sides
    actions = iter([[value] if i == layer else [0.0] for i in range(len(before))])
    _, info = finish(
        make_env(ContinuousPlanEnv, toy, reference=lambda: plan), lambda env: np.array(next(actions), np.float32)
    )
    assert budget.entries(info["plan"])[layer] - before[layer] == moved


def test_a_reference_off_the_menus_is_refused():
    with pytest.raises(PlanError, match="is not on its menu"):
        make_env(PlanEnv, separable(), reference=lambda: CompressionPlan.of_ranks({"layer0": 7}))


def test_decisions_of_several_ways_are_made_by_the_same_steps():
    toy = mixed()
    entries = iter(Budget.of(toy.problem).entries(toy.best_plan()))
    _, info = finish(make_env(PlanEnv, toy), lambda env: np.int64(next(entries)))
    assert info["plan"] == toy.best_plan()
    assert {choice.bits for _, choice in info["plan"]} > {None}
