"""Searches side by side under Ray Tune, a trial per task. The only module that imports Ray.

References:
    Liaw et al. 2018, Tune: a research platform for distributed model selection and training, arXiv:1807.05118.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from agents.execution.executor import OnTaskTrial, SearchTask
from agents.execution.ray.ray_guard import guarded_folder
from agents.search.search_result import SearchResult, Trial
from agents.search.search_task import interrupted_result, run_search
from shrinkml.errors import StageError
from shrinkml.events import ShouldStop

OBJECT_STORE_BYTES = 200 * 2**20  # tasks are small and models travel by file: little more than Ray's minimum
RESTARTS = 2  # of a task whose worker process died; what it had judged comes from the cache
MOST_WAIT_FOR_WORKER_S = 120.0  # a cluster without a free CPU would let us wait forever

RAY_SETTINGS = {  # read by Ray at its start and in every run
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # not 60: without its head Ray cannot go on, and the driver ends
    "RAY_worker_niceness": "0",  # not 15: searching is what the machine is asked to do
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints even when it is told to be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results come through the callback; nothing reads Tune's files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C belongs to whoever started us
}
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


class RayExecutor:
    """Runs searches side by side in worker processes; implements `agents.execution.executor.Executor`.

    Ray starts with the first run and ends with `close`.
    """

    def __init__(self, workers: int, *, address: str | None = None, on_gpu: bool = False) -> None:
        """An executor of at most `workers` searches at a time, one CPU each.

        Args:
            workers: searches side by side.
            address: of a running Ray cluster; None starts one on this machine.
            on_gpu: whether they share a GPU; otherwise Ray hides the machine's from them.
        """
        self._workers = workers
        self._address = address
        self._on_gpu = on_gpu
        self._started = ExitStack()  # of what must be ended
        self._runs = False

    def run(self, tasks: Sequence[SearchTask], *, on_trial: OnTaskTrial, should_stop: ShouldStop) -> list[SearchResult]:
        """One result per task, in the order of `tasks`; see `Executor.run`."""
        if not tasks or should_stop():
            return []
        journal = _Journal(tasks, on_trial)
        storage = Path(tasks[0].workspace, "tune")
        with _environment(RAY_SETTINGS):
            self._start()
            try:
                grid = self._tuner(tasks, journal, should_stop, storage).fit()
            finally:
                shutil.rmtree(storage, ignore_errors=True)
        if not should_stop():
            journal.refuse_failures(grid.errors)
        return journal.results()

    def close(self) -> None:
        """Ends every process that was started."""
        self._runs = False
        self._started.close()

    def _start(self) -> None:
        if self._runs:
            return
        self._runs = True
        cluster: dict[str, Any] = {"address": self._address}
        if self._address is None:
            cluster = {
                "address": "local",
                "num_cpus": self._workers,
                "num_gpus": int(self._on_gpu),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": str(self._started.enter_context(guarded_folder())),
            }
        self._started.callback(ray.shutdown)
        ray.init(
            **cluster,
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            logging_level=logging.ERROR,
            log_to_driver=False,
        )

    def _tuner(
        self, tasks: Sequence[SearchTask], journal: "_Journal", should_stop: ShouldStop, storage: Path
    ) -> tune.Tuner:
        shutil.rmtree(storage, ignore_errors=True)
        resources = {"cpu": 1.0, "gpu": 1.0 / self._workers if self._on_gpu else 0.0}
        trainable = tune.with_resources(tune.with_parameters(_search, tasks=tuple(tasks)), resources)
        return tune.Tuner(
            trainable,
            param_space={"index": tune.grid_search(list(range(len(tasks))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=self._workers, reuse_actors=True),
            run_config=tune.RunConfig(
                name="searches",
                storage_path=str(storage),
                stop=_Stop(lambda: should_stop() or journal.failed),
                callbacks=[_Listener(journal)],
                failure_config=tune.FailureConfig(max_failures=RESTARTS),
                verbose=0,
            ),
        )


def _search(config: dict[str, Any], tasks: Sequence[SearchTask]) -> None:
    """The trial of task `config["index"]`, in a worker process: reports every judged plan, at last the result."""

    def report(trial: Trial, n_done: int) -> None:
        tune.report({"trial": json.dumps(trial.to_json()), "n_done": n_done})

    try:
        result = run_search(tasks[config["index"]], on_trial=report, should_stop=lambda: False)
    except Exception as error:
        tune.report({"error": str(error) or type(error).__name__})
    else:
        tune.report({"result": json.dumps(result.to_json())})


class _Journal:
    """What the tasks have reported so far."""

    def __init__(self, tasks: Sequence[SearchTask], on_trial: OnTaskTrial) -> None:
        self._tasks = tasks
        self._on_trial = on_trial
        self._trials: list[list[Trial]] = [[] for _ in tasks]
        self._results: dict[int, SearchResult] = {}
        self._errors: dict[int, str] = {}

    @property
    def failed(self) -> bool:
        """Whether a task gave up."""
        return bool(self._errors)

    def note(self, index: int, report: Mapping[str, Any]) -> None:
        """Takes in a report of the task at `index`; a restarted task's repetitions are passed over."""
        if "trial" in report and report["n_done"] > len(self._trials[index]):
            trial = Trial.from_json(json.loads(report["trial"]))
            self._trials[index].append(trial)
            self._on_trial(self._tasks[index], trial, report["n_done"])
        elif "result" in report:
            self._results[index] = SearchResult.from_json(json.loads(report["result"]))
        elif "error" in report:
            self._errors[index] = report["error"]

    def refuse_failures(self, died: Sequence[BaseException]) -> None:
        """Raises StageError for the first task that has no result."""
        lost = [index for index in range(len(self._tasks)) if index not in self._results]
        for index in sorted(lost, key=lambda index: index not in self._errors):
            task = self._tasks[index]
            why = self._errors.get(index) or f"its worker died {RESTARTS + 1} times ({'; '.join(map(str, died))})"
            raise StageError(f"search {task.strategy} with seed {task.seed} failed: {why}")

    def results(self) -> list[SearchResult]:
        """The results in the order of the tasks; for a task that was ended early, the best of what it reported."""
        found = [
            self._results.get(index) or interrupted_result(task, self._trials[index])
            for index, task in enumerate(self._tasks)
        ]
        return [result for result in found if result is not None]


class _NotSaved:
    """Tune writes its callbacks and stoppers to disk, for a way of resuming that is not used here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Listener(_NotSaved, tune.Callback):
    """Hands reports to the journal and bounds the wait for a first worker."""

    def __init__(self, journal: _Journal) -> None:
        self._journal = journal
        self._idle_since = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        self._journal.note(trial.config["index"], result)

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if any(trial.status == TuneTrial.RUNNING for trial in trials):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > MOST_WAIT_FOR_WORKER_S:
            raise StageError(
                f"Ray had no free CPU or GPU for {MOST_WAIT_FOR_WORKER_S:.0f} s; add workers or end other jobs"
            )


class _Stop(_NotSaved, tune.Stopper):
    """Ends all trials as soon as `should_stop` says so."""

    def __init__(self, should_stop: ShouldStop) -> None:
        self._should_stop = should_stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._should_stop()


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set to `settings`; as they were afterwards."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
