import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray import tune

from agents.execution.ray.ray_evaluations import keep_evaluations
from agents.execution.ray.search_worker import HandedWorkspace, search
from agents.execution.ray.stop_signal import StopSignal
from agents.search.packed_workspace import pack
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import database_of
from tests.agents.execution.running import ENDLESS, here


@pytest.fixture
def task(ray_executor, make_task):
    ray_executor._cluster.start()
    return make_task("random")


@pytest.fixture
def handed(task):
    folder = Path(task.workspace)
    evaluations = keep_evaluations(database_of(folder))
    return HandedWorkspace(pack(folder, ray.put), evaluations, StopSignal(evaluations.keeper, "this"))


@pytest.fixture
def reports(monkeypatch):
    """What goes to Tune, which listens only inside of its own trials."""
    said = []
    monkeypatch.setattr(tune, "report", said.append)
    return said


def test_a_worker_reports_every_plan_and_at_last_the_result(task, handed, reports):
    search({"index": 1}, [replace(task, seed=1), task], {task.workspace: handed})
    *trials, last = reports
    expected = here(task)
    assert SearchResult.from_json(json.loads(last["result"])) == expected
    assert [Trial.from_json(json.loads(report["trial"])) for report in trials] == list(expected.trials)
    assert [report["n_done"] for report in trials] == list(range(1, 9))


def test_a_worker_unpacks_a_workspace_once(task, handed, reports, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            # Each trial gets a copy of what it is handed.
            again = ray.get(ray.put({task.workspace: handed}), timeout=60.0)
            search({"index": 0}, [task], again)
    assert caplog.text.count("unpacked a workspace of") == 1
    assert reports[: len(reports) // 2] == reports[len(reports) // 2 :]


def test_a_search_ends_with_its_best_once_a_stop_is_given(task, handed, monkeypatch):
    reports = []

    def report(said):
        reports.append(said)
        handed.stop.give()

    monkeypatch.setattr(tune, "report", report)
    search({"index": 0}, [replace(task, evaluations=ENDLESS)], {task.workspace: handed})
    *trials, last = reports
    assert len(SearchResult.from_json(json.loads(last["result"])).trials) == len(trials) < ENDLESS


def test_a_search_that_is_stopped_before_its_first_plan_reports_nothing(task, handed, reports):
    handed.stop.give()
    search({"index": 0}, [task], {task.workspace: handed})
    assert reports == []


def test_a_search_that_fails_says_why(task, handed, reports):
    search({"index": 0}, [replace(task, strategy="luck")], {task.workspace: handed})
    (report,) = reports
    assert report["error"].startswith("no strategy named 'luck'; known: ")
