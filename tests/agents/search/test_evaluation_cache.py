import dataclasses
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from agents.search.evaluation_cache import LEASE_S, EvaluationCache
from agents.search.process_identity import ProcessIdentity
from agents.search.racing import RacingJudge
from agents.strategies import STRATEGIES, search_plans
from envs.toys import coupled
from shrinkml.plan.compression_plan import CompressionPlan
from tests.agents.toy_search import WORDS, Hearing

PLAN = CompressionPlan.of_ranks({"encoder": 8})
N_PLANS = 10
N_DATABASES = 100

ERRORS = (0, 2, 1)  # in the utterances of a part

# Evaluates both parts of every plan, in an order of its own; says on stdout when it starts one.
WORKER = f"""
import itertools, random, sys, time
from pathlib import Path
from agents.search.evaluation_cache import EvaluationCache
from shrinkml.plan.compression_plan import CompressionPlan

def evaluate(plan, part):
    print("evaluating", flush=True)
    time.sleep(0.02)
    return plan.ranks["encoder"], part

cached = EvaluationCache(Path(sys.argv[1]), "model").cached(evaluate)
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
from agents.search.evaluation_cache import EvaluationCache
print("ready", flush=True)
start = float(sys.stdin.readline())
for i in range({N_DATABASES}):
    while time.time() < start + 0.01 * i:
        pass
    EvaluationCache(Path(sys.argv[1]) / f"{{i}}.sqlite", "model")
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "cache.sqlite"


def start_worker(path, seed):
    return subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(seed)], stdout=subprocess.PIPE)


def leave_claim(path, owner, *, claimed_at_s):
    """Leaves `owner`'s claim of PLAN, as a process that died in the middle of its evaluation does."""
    cache = EvaluationCache(path, "model")
    assert cache._claim(PLAN, 0)
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE part_claims SET host = ?, pid = ?, started = ?, claimed_at_s = ?",
            (owner.host, owner.pid, owner.started, claimed_at_s),
        )
    database.close()
    return cache


def hear(plan, part):
    return ERRORS


def never(plan, part):
    raise AssertionError(f"part {part} of {plan} was evaluated again")


def test_a_part_of_a_plan_is_evaluated_once_and_then_remembered(path):
    assert EvaluationCache(path, "model").cached(hear)(PLAN, 0) == ERRORS
    reopened = EvaluationCache(path, "model")
    assert reopened.cached(never)(PLAN, 0) == ERRORS
    assert reopened.get(PLAN, 1) is None
    assert reopened.evaluations_made() == {(PLAN.digest, 0): 1}


def test_contexts_do_not_share_results(path):
    EvaluationCache(path, "model a").cached(hear)(PLAN, 0)
    other = EvaluationCache(path, "model b")
    assert other.get(PLAN, 0) is None
    assert other.evaluations_made() == {}
    assert other.cached(lambda plan, part: (5,))(PLAN, 0) == (5,)


def test_a_file_of_an_older_version_is_used_and_what_it_holds_is_left_alone(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE results (context TEXT, plan TEXT, wer REAL, PRIMARY KEY (context, plan))")
        database.execute("INSERT INTO results VALUES ('model', 'plan', 0.25)")
    assert EvaluationCache(path, "model").cached(hear)(PLAN, 0) == ERRORS
    assert EvaluationCache(path, "model").cached(never)(PLAN, 0) == ERRORS
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM results").fetchall() == [("model", "plan", 0.25)]


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
def test_an_evaluation_that_fails_leaves_the_plan_free(path, error):
    def fail(plan, part):
        raise error

    cache = EvaluationCache(path, "model")
    with pytest.raises(type(error)):
        cache.cached(fail)(PLAN, 0)
    assert cache.evaluations_made() == {}
    assert cache.cached(hear)(PLAN, 0) == ERRORS


def test_who_comes_second_waits_for_the_result_of_the_first(path):
    cache = EvaluationCache(path, "model")
    started, finish, answers = threading.Event(), threading.Event(), []

    def slow(plan, part):
        started.set()
        finish.wait()
        return ERRORS

    first = threading.Thread(target=lambda: answers.append(cache.cached(slow)(PLAN, 0)))
    second = threading.Thread(target=lambda: answers.append(cache.cached(never)(PLAN, 0)))
    first.start()
    started.wait()
    second.start()
    second.join(0.2)
    assert second.is_alive()
    finish.set()
    first.join()
    second.join()
    assert answers == [ERRORS, ERRORS]


def test_the_claim_of_a_dead_process_is_taken_over_at_once(path):
    gone = dataclasses.replace(ProcessIdentity.of_this_process(), started=1)
    cache = leave_claim(path, gone, claimed_at_s=time.time())
    start = time.monotonic()
    assert cache.cached(hear)(PLAN, 0) == ERRORS
    assert time.monotonic() - start < 5.0


def test_the_claim_of_another_machine_is_honoured_until_its_lease_runs_out(path):
    elsewhere = dataclasses.replace(ProcessIdentity.of_this_process(), host="elsewhere")
    cache = leave_claim(path, elsewhere, claimed_at_s=time.time())
    assert not cache._claim(PLAN, 0)
    cache._release(PLAN, 0)
    leave_claim(path, elsewhere, claimed_at_s=time.time() - LEASE_S)
    assert cache.cached(hear)(PLAN, 0) == ERRORS


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
    assert EvaluationCache(path, "model").evaluations_made() == ALL_ONCE


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
    assert EvaluationCache(path, "model").evaluations_made() == ALL_ONCE


def test_a_killed_workers_plan_is_finished_by_a_worker_that_waits_for_it(path):
    with start_worker(path, "victim") as victim:
        victim.stdout.readline()
        victim.send_signal(signal.SIGSTOP)  # alive, but it will not finish
        waiting = start_worker(path, "waiting")
        time.sleep(0.5)
        victim.send_signal(signal.SIGKILL)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert set(EvaluationCache(path, "model").evaluations_made().values()) == {1}


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

    cache = EvaluationCache(path, "toy")
    search(cache.cached(Hearing(toy)), killed_after=evaluations // 2)
    resumed = search(cache.cached(Hearing(toy)))
    assert resumed == search(Hearing(toy))
    assert {plan for plan, _ in cache.evaluations_made()} == {trial.plan.digest for trial in resumed.trials}
    assert set(cache.evaluations_made().values()) == {1}
