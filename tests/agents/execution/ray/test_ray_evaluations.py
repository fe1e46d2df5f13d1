import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest
import ray

from agents.execution.ray import ray_evaluations
from agents.execution.ray.ray_evaluations import RayEvaluations, keep_evaluations
from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from shrinkml.errors import StageError
from tests.agents.search.evaluations.contract import ASKED, ERRORS, ME, PLAN, EvaluationStoreContract, hear


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluations") / "evaluations.sqlite"


@pytest.fixture(scope="module")
def kept(ray_executor, database):
    """One actor for all tests."""
    ray_executor._cluster.start()
    return keep_evaluations(database)


@pytest.fixture
def store(kept, database):
    """The store, with nothing in it."""
    assert kept.evaluations_made("model") is not None  # the file is there
    with closing(sqlite3.connect(database)) as file, file:
        for table in ("part_results", "part_claims", "part_log"):
            file.execute(f"DELETE FROM {table}")
    return kept


class TestRayEvaluations(EvaluationStoreContract):
    @pytest.fixture(autouse=True)
    def know_file(self, database):
        self.file = database

    def expire(self, store, seconds):
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("UPDATE part_claims SET claimed_at_s = claimed_at_s - ?", (seconds,))


class Claimant:
    """A worker that claims a part and does not come to judge it."""

    def claim(self, store):
        return store.claim(ASKED, ProcessIdentity.of_this_process()), os.getpid()


def test_a_worker_gets_the_store_and_what_it_claimed_is_taken_over_when_it_is_killed(store):
    worker = ray.remote(num_cpus=0)(Claimant).remote()
    granted, pid = ray.get(worker.claim.remote(store), timeout=60.0)
    assert granted
    assert not store.claim(ASKED, ME)
    os.kill(pid, signal.SIGKILL)
    assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS
    assert store.evaluations_made("model") == {(PLAN.digest, 0): 1}


def test_what_is_stored_lies_in_the_file_that_others_open(store, database):
    store.store(ASKED, ME, ERRORS)
    assert SqliteEvaluations(database).get(ASKED) == ERRORS


def test_the_store_comes_back_with_all_it_knew_when_its_actor_dies(store):
    store.store(ASKED, ME, ERRORS)
    ray.kill(store.keeper, no_restart=False)
    assert store.get(ASKED) == ERRORS


class Forgetful(SqliteEvaluations):
    """Does as it is told, and dies before it answers, once for each question."""

    def __init__(self, path):
        super().__init__(path)
        self._path_of_deaths = path.parent

    def _die_once(self, question):
        marker = self._path_of_deaths / f"died-{question}"
        if not marker.exists():
            marker.touch()
            os._exit(1)

    def claim(self, asked, owner):
        granted = super().claim(asked, owner)
        self._die_once("claim")
        return granted

    def store(self, asked, owner, errors):
        super().store(asked, owner, errors)
        self._die_once("store")


def test_an_answer_that_got_lost_costs_no_second_evaluation_and_blocks_nobody(store, tmp_path):
    keeper = ray.remote(num_cpus=0, max_restarts=-1)(Forgetful).remote(tmp_path / "evaluations.sqlite")
    losing = RayEvaluations(keeper)
    assert judged_once(hear, losing, "model")(PLAN, 0) == ERRORS
    assert {path.name for path in tmp_path.glob("died-*")} == {"died-claim", "died-store"}
    assert losing.evaluations_made("model") == {(PLAN.digest, 0): 1}


class Deaf:
    def get(self, asked):
        time.sleep(60.0)


def test_a_store_that_does_not_answer_is_not_waited_for_forever(store, monkeypatch):
    monkeypatch.setattr(ray_evaluations, "MOST_WAIT_FOR_ANSWER_S", 1.0)
    keeper = ray.remote(num_cpus=0)(Deaf).remote()
    with pytest.raises(StageError, match="the store of evaluations did not answer within 1 s; see whether"):
        RayEvaluations(keeper).get(ASKED)
    ray.kill(keeper)


def test_a_store_that_never_comes_back_is_given_up(store):
    keeper = ray.remote(num_cpus=0)(Deaf).remote()
    ray.kill(keeper)
    with pytest.raises(ray.exceptions.ActorDiedError):
        RayEvaluations(keeper).get(ASKED)
