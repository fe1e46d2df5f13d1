import json

import pytest

from agents.pipeline.price_lists import price_list
from agents.pipeline.stage import Teller
from agents.pipeline.stages.steps.search_stage import RESULTS, SEARCH, read_results, search_tasks, trial_teller
from agents.search.search_result import SearchResult, Trial
from shrinkml.events import Progress
from shrinkml.plan.compression_plan import CompressionPlan


def test_a_step_has_the_strategy_with_every_seed_and_each_baseline_once_all_with_equal_evaluations(tiny_job):
    spec = tiny_job(search={"strategy": "dyna", "seeds": 2, "evaluations": 7, "baselines": ["greedy"]}, seed=5)
    tasks = search_tasks(spec.search, spec.seed, "folder", {("dyna", 6): {"a": 1}})
    assert [(task.strategy, task.seed, task.policy) for task in tasks] == [
        ("dyna", 5, None),
        ("dyna", 6, {"a": 1}),
        ("greedy", 5, None),
    ]
    assert {(task.evaluations, task.workspace) for task in tasks} == {(7, "folder")}
    assert SEARCH.evaluations(spec) == 3 * 7


def test_results_come_back_from_the_folder_of_the_stage(tmp_path):
    assert read_results(tmp_path) == []
    trial = Trial(CompressionPlan.of_ranks({"a": 2}), 0.25, 10)
    result = SearchResult("random", 3, trial, (trial,))
    (tmp_path / RESULTS).write_text(json.dumps([result.to_json()]))
    assert read_results(tmp_path) == [result]


def test_every_judged_plan_is_told_with_its_size_and_its_place_in_the_budget(materials, spec):
    events = []
    teller = Teller("search-3x", lambda n_done, n_total: Progress(n_done / n_total), events.append)
    tasks, prices = search_tasks(spec.search, 0, "", {}), price_list(materials, "parameters")
    tell = trial_teller(teller, tasks, prices, ratio=3.0, parameters=1000)
    whole = CompressionPlan()
    tell(tasks[0], Trial(whole, 0.5, 500), 1)
    tell(tasks[1], Trial(whole, 0.25, 250, heard=0.5), 1)
    assert [event.key for event in events] == ["search-3x/random/0/1", "search-3x/greedy/0/1"]
    assert [event.data["compression_ratio"] for event in events] == [2.0, 4.0]
    assert [event.progress.fraction for event in events] == pytest.approx([1 / 12, 2 / 12])
    assert not events[0].data["within_budget"], "the dense plan saves nothing"
    assert events[0].message == "random, seed 0, plan 1: 50.00 % WER at 2.00x"
    assert events[1].message.endswith("25.00 % WER at 4.00x (an estimate: it can't win, 50 % of the words tell)")
