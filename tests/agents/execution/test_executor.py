"""One contract for every place where searches run."""

from dataclasses import replace

import pytest

from agents.execution.local_executor import LocalExecutor
from envs.toys import coupled
from shrinkml.errors import StageError
from tests.agents.execution.running import ENDLESS, Reports, here, run
from tests.agents.toy_search import search, telling


@pytest.fixture(params=["local", "ray"])
def executor(request):
    return LocalExecutor() if request.param == "local" else request.getfixturevalue("ray_executor")


def test_results_come_in_the_order_of_the_tasks_and_trials_in_that_of_their_search(executor, make_task):
    policy = search("dyna", telling(coupled()), evaluations=12).policy
    tasks = [make_task("evolution"), make_task("surrogate"), make_task("random", seed=1), make_task("random", seed=2)]
    tasks.append(replace(make_task("dyna"), policy=policy))
    reports = Reports()
    results = run(executor, tasks, reports)
    assert results == [here(task) for task in tasks]
    for task, result in zip(tasks, results, strict=True):
        assert (task.strategy, task.seed) == (result.strategy, result.seed)
        assert reports.trials[task] == [(trial, n) for n, trial in enumerate(result.trials, 1)]


def test_a_stop_ends_searches_at_once_and_keeps_the_best_of_each(executor, make_task):
    task, reports = make_task("random", evaluations=ENDLESS), Reports()
    (result,) = run(executor, [task], reports, lambda: reports.n >= 5)
    assert 5 <= len(result.trials) < ENDLESS
    assert result.best == min(result.trials, key=lambda trial: (trial.wer, trial.parameters))
    assert list(result.trials) == [trial for trial, _ in reports.trials[task]]


def test_searches_that_a_stop_kept_from_starting_have_no_result(executor, make_task):
    assert run(executor, [make_task("greedy")], should_stop=lambda: True) == []


def test_no_tasks_have_no_results(executor):
    assert run(executor, []) == []


def test_a_task_that_fails_is_named_with_its_reason(executor, make_task):
    tasks = [make_task("greedy"), make_task("luck", seed=3)]
    with pytest.raises(StageError, match="search luck with seed 3 failed: no strategy named 'luck'; known: "):
        run(executor, tasks)
    assert len(run(executor, tasks[:1])) == 1, "the executor is still of use"
