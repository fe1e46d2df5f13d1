import logging
import pickle
from types import SimpleNamespace

import pytest

from agents.execution.executor import SearchTask
from agents.execution.ray import tune_callbacks
from agents.execution.ray.trial_journal import TrialJournal
from agents.execution.ray.tune_callbacks import Listener, StopOnDemand
from shrinkml.errors import StageError

TASK = SearchTask("random", 7, 2, "budget_wall", "/nowhere")


@pytest.fixture
def journal():
    return TrialJournal([TASK], lambda *_: None)


def trial(status):
    """What the callbacks read of a trial of Tune's, whose real one needs an experiment."""
    return SimpleNamespace(status=status, config={"index": 0})


def test_reports_go_to_the_journal(journal):
    Listener(journal).on_trial_result(1, [], trial("RUNNING"), {"error": "out of memory"})
    assert journal.failed


def test_a_wait_is_counted_from_the_last_moment_at_which_a_search_ran(journal, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(tune_callbacks.time, "monotonic", lambda: now)
    monkeypatch.setattr(tune_callbacks, "MOST_WAIT_FOR_WORKER_S", 120.0)
    listener = Listener(journal)
    now += 119.0
    listener.on_step_begin(1, [trial("PENDING")])
    listener.on_step_begin(2, [trial("PENDING"), trial("RUNNING")])
    now += 119.0
    listener.on_step_begin(3, [trial("PENDING")])
    now += 2.0
    with pytest.raises(StageError, match="Ray had no free CPU or GPU for 120 s; add workers or end other jobs"):
        listener.on_step_begin(4, [trial("PENDING")])


def test_a_worker_that_died_is_logged(journal, caplog):
    with caplog.at_level(logging.WARNING):
        Listener(journal).on_trial_recover(1, [], trial("PENDING"))
    assert caplog.messages == ["the worker of search random with seed 7 died; another one goes on"]


def test_all_trials_are_stopped_as_soon_as_somebody_asks_for_it_and_workers_are_told():
    asked, told = [], []
    stop = StopOnDemand(lambda: bool(asked), [SimpleNamespace(give=lambda: told.append(True))])
    assert not stop("trial", {})
    assert not stop.stop_all()
    assert not told
    asked.append(True)
    assert stop.stop_all()
    assert told
    assert not stop("trial", {}), "no trial alone"


def test_tune_saves_nothing_of_them(journal):
    assert vars(pickle.loads(pickle.dumps(Listener(journal)))) == {}
    assert vars(pickle.loads(pickle.dumps(StopOnDemand(lambda: False)))) == {}
