from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from stable_baselines3 import A2C

from agents.strategies.agents.learning import SETTLED, EndWhenSettled, learn
from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.uniform import uniform_plan
from envs.plan_env import PlanEnv
from envs.toys import separable


class Spied(A2C):
    """An agent that is remembered with what it was made of, and that plays no episode."""

    made: ClassVar[list["Spied"]] = []

    def learn(self, *_, **__):
        self.made.append(self)


@pytest.fixture
def spied(monkeypatch):
    monkeypatch.setattr(Spied, "made", [])
    return Spied.made


def seeds_of(search, spied):
    learn(search, PlanEnv, partial(Spied, "MlpPolicy"))
    return [agent.seed for agent in spied]


def test_each_fresh_agent_has_a_seed_of_its_own_and_the_same_search_the_same(make_search, spied):
    def stopping():
        return len(spied) >= 3

    first = seeds_of(make_search(separable(), evaluations=50, should_stop=stopping), spied)
    spied.clear()
    assert len(set(first)) == 3
    assert seeds_of(make_search(separable(), evaluations=50, should_stop=stopping), spied) == first


def test_the_cheap_plans_are_judged_before_any_agent_is_made(make_search, spied):
    toy, judged = separable(), []
    search = make_search(toy, evaluations=2, evaluate=lambda plan: judged.append(plan) or toy.evaluate(plan))
    assert seeds_of(search, spied) == []
    assert judged == [greedy_plan(toy.problem), uniform_plan(toy.problem)]


def test_an_untrained_agent_is_prepared_before_it_learns(make_search, spied):
    prepared = []
    search = make_search(separable(), evaluations=50, should_stop=lambda: bool(spied))
    learn(search, PlanEnv, partial(Spied, "MlpPolicy"), prepare_=lambda agent: prepared.append((agent, len(spied))))
    assert prepared == [(spied[0], 0)]


def steps_until_settled(recorder, plan, episode):
    """Steps for which learning goes on, when every episode ends at a plan that was judged before."""
    callback, n_steps = EndWhenSettled(recorder), 0
    while True:
        done = (n_steps + 1) % episode == 0
        if done:
            recorder(plan)
        callback.update_locals({"dones": np.array([done])})
        n_steps += 1
        if not callback._on_step():
            return n_steps


def test_a_policy_is_settled_after_so_many_episodes_that_tell_nothing_new(make_search):
    toy = separable()
    search = make_search(toy, evaluations=50)
    search.recorder(greedy_plan(toy.problem))
    assert steps_until_settled(search.recorder, greedy_plan(toy.problem), episode=6) == SETTLED * 6


def test_learning_ends_with_the_episode_in_which_the_recorder_finishes(make_search):
    toy = separable()
    search = make_search(toy, evaluations=1)
    assert steps_until_settled(search.recorder, greedy_plan(toy.problem), episode=6) == 6
