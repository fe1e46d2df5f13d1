from contextlib import suppress
from pathlib import Path

import pytest
import torch

from agents.search import interruptible
from agents.search.opened_workspace import open_workspace
from agents.search.search_result import Trial
from agents.search.search_task import interrupted_result, one_thread, run_search, search_in
from shrinkml.errors import StoppedError, UnknownNameError
from shrinkml.plan.compression_plan import CompressionPlan


def search(task, should_stop=lambda: False):
    trials = []
    return run_search(task, on_trial=lambda trial, n_done: trials.append(trial), should_stop=should_stop), trials


def test_the_same_task_finds_the_same_and_says_so_as_it_goes(make_task):
    task = make_task("evolution", seed=3)
    result, trials = search(task)
    assert list(result.trials) == trials
    assert (result.strategy, result.seed, len(trials)) == ("evolution", 3, 8)
    assert search(task) == (result, trials)


def test_a_workspace_that_is_open_serves_one_task_after_another(make_task):
    tasks = [make_task("random"), make_task("greedy"), make_task("random")]
    workspace = open_workspace(Path(tasks[0].workspace))
    found = [search_in(workspace, task, on_trial=lambda *_: None, should_stop=lambda: False) for task in tasks]
    assert found == [search(task)[0] for task in tasks]
    assert found[0] == found[2]


def test_what_does_not_exist_is_refused(make_task):
    with pytest.raises(UnknownNameError, match="no strategy named 'luck'; known: "):
        search(make_task("luck"))


def test_a_search_without_a_judged_plan_has_no_result(make_task):
    with pytest.raises(StoppedError, match="the search was stopped before it judged a plan"):
        search(make_task("random"), should_stop=lambda: True)


def test_an_interrupted_search_has_found_the_best_of_its_trials_within_the_budget(make_task):
    task = make_task("random")
    result, trials = search(task)
    assert interrupted_result(task, trials) == result
    dense = Trial(CompressionPlan(), 0.0, 10**6)
    assert interrupted_result(task, [dense]) is None, "it is over the budget"
    assert interrupted_result(task, [dense, *trials]).best == result.best
    assert interrupted_result(task, []) is None


def test_threads_are_as_many_as_before_afterwards():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(RuntimeError), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError("the search failed")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_stop_while_a_plan_is_judged_keeps_what_was_judged_before(make_task, monkeypatch):
    monkeypatch.setattr(interruptible, "MOST_WORK", 0.0)  # one utterance at a time
    task, trials, asked = make_task("random"), [], []

    def in_the_midst_of_the_third():
        asked.append(len(trials))
        return asked.count(2) > 4

    result = run_search(task, on_trial=lambda trial, _: trials.append(trial), should_stop=in_the_midst_of_the_third)
    assert list(result.trials) == trials == search(task)[1][:2]
    assert asked[-1] == 2
