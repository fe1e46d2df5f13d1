"""One contract for every place where searches run, and what is peculiar to Ray."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from agents.execution.local_executor import LocalExecutor
from agents.execution.ray.ray_executor import RayExecutor
from agents.search.search_task import run_search
from envs.toys import coupled
from server.worker.processes import descendants
from shrinkml.errors import StageError
from tests.agents.toy_search import search, telling

ENDLESS = 100_000  # evaluations: more than a test waits for


@pytest.fixture(scope="module")
def ray_executor():
    executor = RayExecutor(workers=2)
    yield executor
    executor.close()


@pytest.fixture(params=["local", "ray"])
def executor(request):
    return LocalExecutor() if request.param == "local" else request.getfixturevalue("ray_executor")


class Reports:
    """Hears of trials; what it heard, by task."""

    def __init__(self):
        self.trials = defaultdict(list)

    def __call__(self, task, trial, n_done):
        self.trials[task].append((trial, n_done))

    @property
    def n(self):
        return sum(map(len, self.trials.values()))


def run(executor, tasks, reports=None, should_stop=lambda: False):
    return executor.run(tasks, on_trial=reports or Reports(), should_stop=should_stop)


def test_results_come_in_the_order_of_the_tasks_and_trials_in_that_of_their_search(executor, make_task):
    policy = search("dyna", telling(coupled()), evaluations=12).policy
    tasks = [make_task("evolution"), make_task("surrogate"), make_task("random", seed=1), make_task("random", seed=2)]
    tasks.append(replace(make_task("dyna"), policy=policy))
    reports = Reports()
    results = run(executor, tasks, reports)
    assert results == [run_search(t, on_trial=lambda *_: None, should_stop=lambda: False) for t in tasks]
    for task, result in zip(tasks, results, strict=True):
        assert (task.strategy, task.seed) == (result.strategy, result.seed)
        assert reports.trials[task] == [(trial, n) for n, trial in enumerate(result.trials, 1)]


def test_a_stop_ends_searches_at_once_and_keeps_the_best_of_each(executor, make_task):
    task, reports, asked = make_task("random", evaluations=ENDLESS), Reports(), []

    def enough():
        if reports.n >= 5:
            asked.append(time.monotonic())
        return bool(asked)

    (result,) = run(executor, [task], reports, enough)
    assert time.monotonic() - asked[0] < 8.0
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


def ray_workers(parent):
    """Ids of the processes in which Ray runs trials, below the process `parent`."""
    return [pid for pid in descendants(parent) if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_search_whose_worker_is_killed_goes_on_in_another(ray_executor, make_task):
    task, killed = make_task("random", evaluations=60), []

    def kill_once(_, trial, n_done):
        if n_done == 20 and not killed:
            killed.extend(ray_workers(os.getpid()))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        heard.append(n_done)

    heard = []
    (result,) = ray_executor.run([task], on_trial=kill_once, should_stop=lambda: False)
    assert killed
    assert heard == list(range(1, 61)), "each trial is reported once, in spite of the repetition"
    assert result == run_search(task, on_trial=lambda *_: None, should_stop=lambda: False)


def test_a_search_whose_worker_dies_every_time_fails(ray_executor, make_task):
    def kill(task, trial, n_done):
        for pid in ray_workers(os.getpid()):
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(StageError, match="search random with seed 0 failed: its worker died 3 times"):
        ray_executor.run([make_task("random", evaluations=ENDLESS)], on_trial=kill, should_stop=lambda: False)


def test_a_cluster_without_a_free_cpu_is_not_waited_for_forever(ray_executor, make_task, monkeypatch):
    ray_executor.run([make_task("greedy")], on_trial=Reports(), should_stop=lambda: False)  # Ray runs from here on
    monkeypatch.setattr("agents.execution.ray.ray_executor.MOST_WAIT_FOR_WORKER_S", 1.0)
    hog = ray.remote(num_cpus=2)(lambda: time.sleep(60)).remote()
    with pytest.raises(StageError, match="Ray had no free CPU or GPU for 1 s"):
        ray_executor.run([make_task("greedy")], on_trial=Reports(), should_stop=lambda: False)
    ray.cancel(hog, force=True)


def test_a_running_cluster_is_used_and_left_running(ray_executor, make_task):
    task = make_task("greedy")
    (expected,) = run(ray_executor, [task])
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
    expected = [run_search(task, on_trial=lambda *_: None, should_stop=lambda: False).best.wer for task in tasks]
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


@pytest.mark.parametrize(("how", "patience_s"), [("error", 1.0), ("kill", 5.0)])
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


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
