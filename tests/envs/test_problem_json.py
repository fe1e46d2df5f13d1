import dataclasses
import json

import pytest

from envs.problem_json import from_json, to_json
from envs.rank_options import rank_menus
from envs.toys import TOYS, recogniser, telling
from shrinkml.plan.choice import Choice
from shrinkml.plan.prices import GroupTerm
from tests.agents.toy_search import search


def read_back(problem):
    return from_json(json.loads(json.dumps(to_json(problem))))


@pytest.mark.parametrize("name", TOYS)
def test_a_problem_survives_json(name):
    problem = TOYS[name]().problem
    assert read_back(problem) == problem


def test_losses_terms_and_what_was_left_out_survive_json():
    problem = telling(TOYS["separable"](), 13.7).problem
    terms = (GroupTerm({"layer0": (Choice(rank=2), Choice()), "layer3": (Choice(),)}, -40),)
    first = problem.decisions[0].without_losers(problem.expected_losses[0], most=0.0)
    assert first.left_out
    changed = dataclasses.replace(
        problem,
        decisions=(first, *problem.decisions[1:]),
        prices=dataclasses.replace(problem.prices, terms=terms),
    )
    assert read_back(changed) == changed


OLD = {  # as problem.json was before there were options
    "layers": [
        {"name": "a", "kind": "linear", "out_features": 16, "in_features": 8, "calls_per_s": 2.0},
        {"name": "b", "kind": "lstm_input", "out_features": 8, "in_features": 8, "calls_per_s": 0.0},
    ],
    "other_parameters": 5,
    "menus": {"a": [1, 3, None], "b": [2, 4]},
    "prices": {
        "resource": "parameters",
        "layers": {
            "a": {"ranks": [1, 8], "prices": [24, 192], "dense": 128},
            "b": {"ranks": [1, 8], "prices": [16, 128], "dense": 64},
        },
        "other": 5,
        "original": 197,
    },
    "compression_ratio": 2.0,
    "spectra": {"a": [3.0, 2.0, 1.0], "b": [1.0, 1.0]},
    "baseline_wer": 0.25,
    "divergences": {"a": [2.0, 1.5, 0.75, 0.5], "b": [4.0, 3.0, 2.0, 1.0, 0.5]},
    "cut": {"a": [2]},
}


def test_what_older_jobs_wrote_is_read():
    problem = from_json(OLD)
    assert rank_menus(problem) == {"a": (1, 3, None), "b": (2, 4)}
    assert problem.expected_losses == ((1.5, 0.5, 0.0), (2.0, 0.5))
    assert problem.per_utterance(1.5) == 1.5, "they told losses per utterance"
    assert [option.choice for option in problem.decisions[0].left_out] == [Choice(rank=2)]
    assert [option.price for option in problem.decisions[0].options] == [24, 72, 128]
    assert problem.retained_energies[0] == pytest.approx((9 / 14, 1.0, 1.0))
    assert (problem.limit, problem.baseline_wer, problem.other.parameters) == (98, 0.25, 5)


def test_of_jobs_older_still_nothing_was_cut_and_of_others_nothing_told():
    old = {key: value for key, value in OLD.items() if key != "cut"} | {"divergences": {}}
    problem = from_json(old)
    assert [decision.left_out for decision in problem.decisions] == [(), ()]
    assert not problem.tells_losses


@pytest.mark.parametrize("name", ["divergence", "surrogate", "random"])
def test_a_problem_that_was_read_back_is_searched_alike(name):
    toy = telling(recogniser())
    again = dataclasses.replace(toy, problem=read_back(toy.problem))
    assert search(name, again, evaluations=8) == search(name, toy, evaluations=8)
