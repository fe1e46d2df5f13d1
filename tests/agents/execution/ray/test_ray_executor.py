"""Searches under Ray: workers that die, clusters that are full, and folders that workers cannot see."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import ray

from agents.execution.local_executor import LocalExecutor
from agents.execution.ray import ray_executor as module
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from agents.search.opened_workspace import context_of
from agents.search.packed_workspace import pack
from agents.search.workspace import RECORD, database_of, read_record
from server.worker.processes import descendants
from shrinkml.errors import LostProcessError, StageError
from tests.agents.execution.running import ENDLESS, Reports, here, ray_workers, run


def start_ray(executor, make_task):
    """Ray runs from here on; it starts with a run, whose worker takes seconds."""
    if not ray.is_initialized():
        run(executor, [make_task("greedy")])


def test_a_search_whose_worker_is_killed_goes_on_in_another(ray_executor, make_task, caplog):
    task, killed = make_task("random", evaluations=60), []

    def kill_once(_, trial, n_done):
        if n_done == 20 and not killed:
            killed.extend(ray_workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        heard.append(n_done)

    heard = []
    (result,) = ray_executor.run([task], on_trial=kill_once, should_stop=lambda: False)
    assert killed
    assert heard == list(range(1, 61)), "each trial is reported once, in spite of the repetition"
    assert result == here(task)
    assert "the worker of search random with seed 0 died; another one goes on" in caplog.text


@pytest.mark.slow
def test_a_search_whose_worker_dies_every_time_fails(ray_executor, make_task):
    def kill(task, trial, n_done):
        for pid in ray_workers():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(StageError, match="search random with seed 0 failed: its worker died 3 times"):
        ray_executor.run([make_task("random", evaluations=ENDLESS)], on_trial=kill, should_stop=lambda: False)


def test_a_cluster_without_a_free_cpu_is_not_waited_for_forever(ray_executor, make_task, monkeypatch):
    start_ray(ray_executor, make_task)
    monkeypatch.setattr("agents.execution.ray.tune_callbacks.MOST_WAIT_FOR_WORKER_S", 1.0)
    hog = ray.remote(num_cpus=2)(lambda: time.sleep(60)).remote()
    with pytest.raises(StageError, match="Ray had no free CPU or GPU for 1 s"):
        ray_executor.run([make_task("greedy")], on_trial=Reports(), should_stop=lambda: False)
    ray.cancel(hog, force=True)


@pytest.mark.slow
def test_a_running_cluster_is_used_and_left_running(ray_executor, make_task):
    start_ray(ray_executor, make_task)
    task = make_task("greedy")
    expected = here(task)
    program = (
        "import sys; from agents.execution.executor import SearchTask\n"
        "from agents.execution.ray.ray_executor import RayExecutor\n"
        "executor = RayExecutor(1, address=sys.argv[1])\n"
        "task = SearchTask('greedy', 0, 8, 'budget_wall', sys.argv[2])\n"
        "found = executor.run([task], on_trial=lambda *_: None, should_stop=lambda: False)\n"
        "executor.close(); print(found[0].best.wer)"
    )
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run([sys.executable, "-c", program, address, task.workspace], capture_output=True, text=True)
    assert done.stdout.strip() == str(expected.best.wer), done.stderr
    assert run(ray_executor, [task]) == [expected]


@pytest.mark.slow
def test_workers_side_by_side_share_a_gpu(make_task):
    tasks = [make_task("greedy"), make_task("random")]
    program = (
        "import sys; from agents.execution.executor import SearchTask\n"
        "from agents.execution.ray.ray_executor import RayExecutor\n"
        "executor = RayExecutor(2, on_gpu=True)\n"  # Ray counts what it is told, there need be none
        "tasks = [SearchTask(name, 0, 8, 'budget_wall', sys.argv[1]) for name in ('greedy', 'random')]\n"
        "found = executor.run(tasks, on_trial=lambda *_: None, should_stop=lambda: False)\n"
        "executor.close(); print(*(result.best.wer for result in found))"
    )
    command = [sys.executable, "-c", program, tasks[0].workspace]
    done = subprocess.run(command, capture_output=True, text=True)
    expected = [here(task).best.wer for task in tasks]
    assert done.stdout.split() == [str(wer) for wer in expected], done.stderr


PROGRAM = """
import sys
from agents.execution.executor import SearchTask
from agents.execution.ray.ray_executor import RayExecutor
workspace, how = sys.argv[1:]
executor = RayExecutor(workers=1)
def on_trial(task, trial, n_done):
    if n_done == 3:
        print("searching", flush=True)
        if how == "error":
            raise ValueError("the listener failed")
try:
    tasks = [SearchTask("random", 0, 100_000, "budget_wall", workspace)]
    executor.run(tasks, on_trial=on_trial, should_stop=lambda: False)
finally:
    executor.close()
"""


@pytest.mark.parametrize(("how", "patience_s"), [pytest.param("error", 1.0, marks=pytest.mark.slow), ("kill", 5.0)])
def test_no_process_outlives_its_executor(make_task, how, patience_s):
    workspace = make_task("random").workspace
    command = [sys.executable, "-c", PROGRAM, workspace, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdout.readline() == b"searching\n"
        family = descendants(driver.pid)
        assert family
        if how == "kill":
            driver.kill()
        driver.wait(60)
    deadline = time.monotonic() + patience_s
    while alive := [pid for pid in family if is_running(pid)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_bytes()[:80] for pid in alive]
        time.sleep(0.1)


SLOW_PROGRAM = """
import signal, sys, threading
from agents.execution.executor import SearchTask
from agents.execution.ray import ray_executor
from agents.execution.ray.search_worker import search

def slowly(config, tasks, workspaces):
    import time
    from agents.search import interruptible
    ask = interruptible.Interruptible._check
    def wait_and_ask(self):
        time.sleep(2.0)
        ask(self)
    interruptible.MOST_WORK, interruptible.Interruptible._check = 1.0, wait_and_ask  # an utterance at a time, of twelve
    search(config, tasks, workspaces)

pressed = threading.Event()
signal.signal(signal.SIGINT, lambda *_: pressed.set())
ray_executor.search = slowly
executor = ray_executor.RayExecutor(workers=1)
try:
    tasks = [SearchTask("random", 0, 8, "budget_wall", sys.argv[1])]
    executor.run(tasks, on_trial=lambda *_: None, should_stop=pressed.is_set)
finally:
    executor.close()
"""


def test_ctrl_c_ends_a_worker_while_it_judges_a_plan_instead_of_waiting_until_it_is_killed(make_task):
    """A worker that ends by itself gives back what it has claimed; a killed one cannot."""
    workspace = make_task("random").workspace
    database = database_of(Path(workspace))

    def n_claims():
        if not database.exists():
            return 0
        with closing(sqlite3.connect(database)) as opened:
            tables = opened.execute("SELECT name FROM sqlite_master WHERE name = 'part_claims'").fetchall()
            return opened.execute("SELECT COUNT(*) FROM part_claims").fetchone()[0] if tables else 0

    command = [sys.executable, "-c", SLOW_PROGRAM, workspace]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None and not n_claims():
            time.sleep(0.1)
        driver.send_signal(signal.SIGINT)
        assert driver.wait() == 0, driver.stderr.read()
    assert n_claims() == 0


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def movable_task(make_task, tmp_path):
    """A task whose workspace and model lie in one folder, job, and its evaluations in another."""
    task, job = make_task("evolution", evaluations=12), tmp_path / "job"
    record = read_record(Path(task.workspace))
    shutil.copytree(Path(task.workspace, record.model), job / "model")
    shutil.move(task.workspace, job / "workspace")
    moved = replace(record, model="../model", cache="../../database/evaluations.sqlite")
    (job / "workspace" / RECORD).write_text(json.dumps(asdict(moved)))
    return replace(task, workspace=str(job / "workspace"))


@pytest.mark.slow
def test_workers_need_no_folder_of_the_driver(ray_executor, movable_task, tmp_path, monkeypatch):
    """The folder is gone before a worker starts, and stays away when a killed worker is replaced."""
    tasks = [movable_task, replace(movable_task, strategy="random", seed=1)]
    expected = run(LocalExecutor(), tasks)
    shutil.rmtree(tmp_path / "database")  # every plan is judged anew
    context, killed = context_of(Path(movable_task.workspace)), []

    def pack_and_hide(folder, carry):
        packed = pack(folder, carry)
        (tmp_path / "job").rename(tmp_path / "hidden")
        return packed

    def kill_once(task, trial, n_done):
        if n_done == 3 and not killed:
            killed.extend(ray_workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(module, "pack", pack_and_hide)
    assert run(ray_executor, tasks, kill_once) == expected
    assert killed
    assert not (tmp_path / "job").exists(), "nobody made it again"
    made = SqliteEvaluations(tmp_path / "database" / "evaluations.sqlite").evaluations_made(context)
    assert set(made.values()) == {1}, "no part of a plan was judged twice"
    assert {plan for plan, _ in made} >= {trial.plan.digest for result in expected for trial in result.trials}


def test_nothing_of_a_run_stays_beside_its_workspace(ray_executor, make_task):
    task = make_task("greedy")
    before = {path.name for path in Path(task.workspace).iterdir()}
    run(ray_executor, [task])
    assert {path.name for path in Path(task.workspace).iterdir()} == before


def test_what_a_listener_raises_is_its_own_fault_and_nothing_is_searched_again(ray_executor, make_task):
    def refuse(task, trial, n_done):
        raise ValueError("the listener failed")

    with pytest.raises(ValueError, match="the listener failed"):
        run(ray_executor, [make_task("random", evaluations=ENDLESS)], refuse)


def test_a_ray_that_ends_as_it_starts_is_started_again(ray_executor, make_task, monkeypatch, caplog):
    start, n_started = ray.init, []

    def end_the_first(**settings):
        n_started.append(None)
        if len(n_started) == 1:
            raise ConnectionError("the head is gone")
        return start(**settings)

    ray_executor.close()  # a process has one Ray
    monkeypatch.setattr(ray, "init", end_the_first)
    task = make_task("greedy")
    assert run(ray_executor, [task]) == [here(task)]
    assert "Ray ended (ConnectionError: the head is gone); it is started again" in caplog.messages


def test_a_ray_that_ends_each_time_is_told_as_lost_and_no_fault_of_the_job(ray_executor, make_task, monkeypatch):
    def end(**settings):
        raise ConnectionError("the head is gone")

    ray_executor.close()
    monkeypatch.setattr(ray, "init", end)
    with pytest.raises(LostProcessError, match=r"Ray ended twice \(ConnectionError: the head is gone\)"):
        run(ray_executor, [make_task("greedy")])


KILLED_PROGRAM = """
import logging, os, signal, sys, threading, time
from pathlib import Path
from agents.execution.executor import SearchTask
from agents.execution.ray.ray_executor import RayExecutor
from server.worker.processes import descendants

def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

def kill_the_first():
    while not (found := [pid for pid in descendants(os.getpid()) if b"raylet/raylet" in command_line(pid)]):
        time.sleep(0.01)
    os.kill(found[0], signal.SIGKILL)

logging.basicConfig(level=logging.WARNING)
killer = threading.Thread(target=kill_the_first)
killer.start()
executor = RayExecutor(workers=1)
try:
    tasks = [SearchTask("greedy", 0, 6, "budget_wall", sys.argv[1])]
    (result,) = executor.run(tasks, on_trial=lambda *_: None, should_stop=lambda: False)
    print("found", result.best.wer)
finally:
    executor.close()
"""


@pytest.mark.slow
def test_a_ray_that_is_killed_as_it_starts_is_started_again(make_task):
    task = make_task("greedy")
    run_ = subprocess.run(
        [sys.executable, "-c", KILLED_PROGRAM, task.workspace], capture_output=True, text=True, timeout=240
    )
    assert "it is started again" in run_.stderr
    assert f"found {here(task).best.wer}" in run_.stdout
