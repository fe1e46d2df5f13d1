import dataclasses
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from agents.search.racing import RacingJudge
from agents.search.search_plans import search_plans
from agents.strategies.strategies import STRATEGIES
from envs.toys import coupled
from shrinkml.plan.compression_plan import CompressionPlan
from tests.agents.search.evaluations.contract import ASKED, ERRORS, ME, PLAN, EvaluationStoreContract, hear, never
from tests.agents.toy_search import WORDS, Hearing

N_PLANS = 10
N_DATABASES = 100

# Evaluates both parts of every plan, in an order of its own; says on stdout when it starts one.
WORKER = f"""
import itertools, random, sys, time
from pathlib import Path
from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from shrinkml.plan.compression_plan import CompressionPlan

def evaluate(plan, part):
    print("evaluating", flush=True)
    time.sleep(0.02)
    return plan.ranks["encoder"], part

cached = judged_once(evaluate, SqliteEvaluations(Path(sys.argv[1])), "model")
asked = list(itertools.product(range(1, {N_PLANS} + 1), range(2)))
random.Random(sys.argv[2]).shuffle(asked)
for rank, part in asked:
    assert cached(CompressionPlan.of_ranks({{"encoder": rank}}), part) == (rank, part)
"""
ALL_ONCE = {
    (CompressionPlan.of_ranks({"encoder": rank}).digest, part): 1 for rank in range(1, N_PLANS + 1) for part in range(2)
}

# Makes one database after another, each at a moment that all processes share.
MAKER = f"""
import sys, time
from pathlib import Path
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
print("ready", flush=True)
start = float(sys.stdin.readline())
for i in range({N_DATABASES}):
    while time.time() < start + 0.01 * i:
        pass
    SqliteEvaluations(Path(sys.argv[1]) / f"{{i}}.sqlite")
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "cache.sqlite"


def start_worker(path, seed):
    return subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(seed)], stdout=subprocess.PIPE)


class TestSqliteEvaluations(EvaluationStoreContract):
    @pytest.fixture
    def store(self, path):
        return SqliteEvaluations(path)

    def expire(self, store, seconds):
        with closing(sqlite3.connect(store._path)) as database, database:
            database.execute("UPDATE part_claims SET claimed_at_s = claimed_at_s - ?", (seconds,))

    def test_results_outlive_whoever_stored_them(self, store):
        assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS
        reopened = SqliteEvaluations(store._path)
        assert judged_once(never, reopened, "model")(PLAN, 0) == ERRORS
        assert reopened.get(dataclasses.replace(ASKED, part=1)) is None
        assert reopened.evaluations_made("model") == {(PLAN.digest, 0): 1}

    def test_a_claim_of_what_is_known_already_is_not_kept(self, store):
        store.store(ASKED, ME, ERRORS)
        assert not store.claim(ASKED, ME)
        with closing(sqlite3.connect(store._path)) as database:
            assert database.execute("SELECT * FROM part_claims").fetchall() == [], "no claim of it stays"

    def test_rows_are_as_they_always_were(self, store):
        """Literals: files of older versions hold exactly these."""
        assert store.claim(ASKED, ME)
        with closing(sqlite3.connect(store._path)) as database:
            ((*key, host, pid, started, claimed_at_s),) = database.execute("SELECT * FROM part_claims").fetchall()
        store.store(ASKED, ME, ERRORS)
        with closing(sqlite3.connect(store._path)) as database:
            results = database.execute("SELECT * FROM part_results").fetchall()
            ((*logged, finished_at_s),) = database.execute("SELECT * FROM part_log").fetchall()
        assert key == ["9372c470eeadd5ec", PLAN.digest, 0]
        assert (host, pid, started) == (ME.host, ME.pid, ME.started)
        assert results == [(*key, "[0, 2, 1]")]
        assert logged == [1, *key, '{"encoder": 8}', ME.pid]
        assert claimed_at_s <= finished_at_s <= time.time()


def test_a_file_of_an_older_version_is_used_and_what_it_holds_is_left_alone(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE results (context TEXT, plan TEXT, wer REAL, PRIMARY KEY (context, plan))")
        database.execute("INSERT INTO results VALUES ('model', 'plan', 0.25)")
    assert judged_once(hear, SqliteEvaluations(path), "model")(PLAN, 0) == ERRORS
    assert judged_once(never, SqliteEvaluations(path), "model")(PLAN, 0) == ERRORS
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM results").fetchall() == [("model", "plan", 0.25)]


def test_processes_that_make_the_same_database_at_once_do_not_lock_each_other_out(tmp_path):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [maker.stdout.readline() for maker in makers] == ["ready\n"] * 3
    start = time.time() + 0.2
    for maker in makers:
        maker.stdin.write(f"{start}\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate(timeout=60)
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    # SQLite may leave its own -shm and -wal files where two processes close a database at once.
    names = {path.name for path in tmp_path.iterdir() if not path.name.endswith(("-shm", "-wal"))}
    assert names == {f"{i}.sqlite" for i in range(N_DATABASES)}, "nothing made aside is left"


def test_workers_side_by_side_evaluate_every_plan_exactly_once(path):
    workers = [start_worker(path, seed) for seed in range(3)]
    n_started = sum(worker.communicate(timeout=60)[0].count(b"evaluating") for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert n_started == len(ALL_ONCE)
    assert SqliteEvaluations(path).evaluations_made("model") == ALL_ONCE


def test_workers_killed_in_the_middle_of_an_evaluation_cost_no_second_one(path):
    rng = random.Random(0)
    for seed in range(4):
        with start_worker(path, f"victim {seed}") as victim:
            for _ in range(rng.randint(1, 5)):
                victim.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.02))
            victim.send_signal(signal.SIGKILL)
    survivors = [start_worker(path, f"survivor {seed}") for seed in range(2)]
    for survivor in survivors:
        survivor.communicate(timeout=60)
        assert survivor.returncode == 0
    assert SqliteEvaluations(path).evaluations_made("model") == ALL_ONCE


def test_a_killed_workers_plan_is_finished_by_a_worker_that_waits_for_it(path):
    with start_worker(path, "victim") as victim:
        victim.stdout.readline()
        victim.send_signal(signal.SIGSTOP)  # alive, but it will not finish
        waiting = start_worker(path, "waiting")
        time.sleep(0.5)
        victim.send_signal(signal.SIGKILL)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert set(SqliteEvaluations(path).evaluations_made("model").values()) == {1}


@pytest.mark.usefixtures("evolving_little")
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_that_was_killed_is_replayed_from_the_cache_with_the_same_trials(path, name):
    toy, evaluations = coupled(), 14

    def search(evaluate, *, killed_after=evaluations):
        trials = []
        return search_plans(
            name,
            toy.problem,
            RacingJudge(evaluate, WORDS),
            reward="budget_wall",
            evaluations=evaluations,
            seed=3,
            on_trial=lambda trial, n_done: trials.append(trial),
            should_stop=lambda: len(trials) >= killed_after,
        )

    store = SqliteEvaluations(path)
    search(judged_once(Hearing(toy), store, "toy"), killed_after=evaluations // 2)
    resumed = search(judged_once(Hearing(toy), store, "toy"))
    assert resumed == search(Hearing(toy))
    assert {plan for plan, _ in store.evaluations_made("toy")} == {trial.plan.digest for trial in resumed.trials}
    assert set(store.evaluations_made("toy").values()) == {1}
