import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from envs.plan_env import ContinuousPlanEnv, PlanEnv
from envs.rank_env import ContinuousRankEnv, RankEnv
from envs.rewards import REWARDS
from envs.toys import RANK_TOYS, mixed, separable
from shrinkml.errors import PlanError

TWINS = {RankEnv: PlanEnv, ContinuousRankEnv: ContinuousPlanEnv}


def make_env(kind, toy):
    return kind(toy.problem, toy.evaluate, reward=REWARDS["budget_wall"])


def walk(env, seed):
    """Everything that an episode of random actions shows."""
    env.action_space.seed(seed)
    seen = [env.reset()[0].tolist()]
    done = False
    while not done:
        observed, reward, done, _, info = env.step(env.action_space.sample())
        seen.append((observed.tolist(), reward, done, info))
    return seen


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("name", RANK_TOYS)
@pytest.mark.parametrize("check", [gymnasium_check, sb3_check])
def test_rank_environments_pass_the_checkers_without_a_warning(check, name, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(make_env(kind, RANK_TOYS[name]()), skip_render_check=True)


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("seed", range(3))
def test_of_ranks_they_show_what_the_general_environment_shows(seed, kind):
    toy = separable()
    assert walk(make_env(kind, toy), seed) == walk(make_env(TWINS[kind], toy), seed)


@pytest.mark.parametrize("kind", TWINS)
def test_options_that_are_more_than_a_rank_are_refused(kind):
    with pytest.raises(PlanError, match=r"layer 'layer0' may become .*; allowed in a RankEnv: ranks alone, take envs"):
        make_env(kind, mixed())


def test_the_mask_says_what_the_budget_allows():
    env = make_env(RankEnv, separable())
    env.reset()
    assert np.flatnonzero(env.action_masks())[0] == 0
