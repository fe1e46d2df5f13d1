import json

import pytest

from agents.execution.executor import SearchTask
from agents.execution.ray.trial_journal import TrialJournal
from agents.search.search_result import SearchResult, Trial
from shrinkml.errors import StageError
from shrinkml.plan.compression_plan import CompressionPlan

TASKS = [SearchTask("random", seed, 2, "budget_wall", "/nowhere") for seed in range(2)]
FIRST, SECOND = (Trial(CompressionPlan.of_ranks({"encoder": rank}), 0.25, 1000 * rank) for rank in (8, 4))


def report(trial, n_done):
    return {"trial": json.dumps(trial.to_json()), "n_done": n_done}


def result_of(task):
    return SearchResult(task.strategy, task.seed, FIRST, (FIRST, SECOND))


@pytest.fixture
def heard():
    return []


@pytest.fixture
def journal(heard):
    return TrialJournal(TASKS, lambda task, trial, n_done: heard.append((task.seed, trial, n_done)))


def test_what_a_restarted_task_repeats_is_passed_over(journal, heard):
    for n_done, trial in [(1, FIRST), (2, SECOND), (1, FIRST), (2, SECOND)]:
        journal.note(1, report(trial, n_done))
    journal.note(0, report(SECOND, 1))
    assert heard == [(1, FIRST, 1), (1, SECOND, 2), (0, SECOND, 1)]


def test_results_are_in_the_order_of_the_tasks(journal):
    for index in (1, 0):
        journal.note(index, {"result": json.dumps(result_of(TASKS[index]).to_json())})
    assert journal.results() == [result_of(task) for task in TASKS]
    journal.refuse_failures([])
    assert not journal.failed


def test_the_reason_that_a_task_gave_is_told_before_a_death(journal):
    journal.note(1, {"error": "no strategy named 'luck'"})
    assert journal.failed
    with pytest.raises(StageError, match=r"^search random with seed 1 failed: no strategy named 'luck'$"):
        journal.refuse_failures([RuntimeError("killed")])


def test_a_task_without_a_reason_died(journal):
    journal.note(0, {"result": json.dumps(result_of(TASKS[0]).to_json())})
    with pytest.raises(StageError, match=r"^search random with seed 1 failed: its worker died 3 times \(killed\)$"):
        journal.refuse_failures([RuntimeError("killed")])
