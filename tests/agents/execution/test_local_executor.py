import pytest

from agents.execution.local_executor import LocalExecutor
from shrinkml.errors import StageError
from tests.agents.execution.running import Reports, here, run


def test_searches_run_one_after_another(make_task):
    tasks = [make_task("greedy"), make_task("random", seed=1)]
    order = []
    results = run(LocalExecutor(), tasks, lambda task, trial, n_done: order.append(task.strategy))
    assert results == [here(task) for task in tasks]
    assert order == sorted(order)


def test_what_was_found_before_a_stop_is_kept_and_nothing_begins_after_it(make_task):
    tasks, reports = [make_task("random", evaluations=6), make_task("greedy")], Reports()
    (result,) = run(LocalExecutor(), tasks, reports, lambda: reports.n >= 2)
    assert (result.strategy, len(result.trials)) == ("random", 2)


def test_a_search_that_was_stopped_before_its_first_plan_has_no_result(make_task):
    asked = []

    def second_time():
        asked.append(True)
        return len(asked) > 1

    assert run(LocalExecutor(), [make_task("random")], should_stop=second_time) == []


def test_a_missing_workspace_is_named_with_its_search(make_task, tmp_path):
    task = make_task("greedy")
    (tmp_path / "workspace").rename(tmp_path / "gone")
    with pytest.raises(StageError, match=r"search greedy with seed 0 failed: .*workspace\.json"):
        run(LocalExecutor(), [task])


def test_there_is_nothing_to_close(make_task):
    executor = LocalExecutor()
    executor.close()
    assert len(run(executor, [make_task("greedy")])) == 1
