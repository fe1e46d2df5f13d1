"""Searches side by side under Ray Tune, a trial per task, on this machine or on a cluster without a shared disk.

References:
    Liaw et al. 2018, Tune: a research platform for distributed model selection and training, arXiv:1807.05118.
"""

import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray
from ray import tune

from agents.execution.executor import OnTaskTrial, SearchTask
from agents.execution.ray.ray_cluster import RAY_SETTINGS, RayCluster, environment
from agents.execution.ray.ray_evaluations import RayEvaluations, keep_evaluations
from agents.execution.ray.search_worker import HandedWorkspace, search
from agents.execution.ray.stop_signal import StopSignal
from agents.execution.ray.trial_journal import RESTARTS, TrialJournal
from agents.execution.ray.tune_callbacks import Listener, StopOnDemand
from agents.search.packed_workspace import pack
from agents.search.search_result import SearchResult
from agents.search.workspace import database_of
from shrinkml.errors import LostProcessError, ShrinkError
from shrinkml.events import ShouldStop

log = logging.getLogger(__name__)


class RayExecutor:
    """Runs searches side by side in worker processes; implements `agents.execution.executor.Executor`.

    Ray starts with the first run and ends with `close`. Workers may run on machines that do not see the disk of this
    one: they get workspaces through Ray's object store, unpack them into their own temporary folder, and ask an actor
    on this machine for what has been judged.
    """

    def __init__(self, workers: int, *, address: str | None = None, on_gpu: bool = False) -> None:
        """An executor of at most `workers` searches at a time, one CPU each.

        Args:
            workers: searches side by side.
            address: of a running Ray cluster that this machine belongs to; None starts one on this machine.
            on_gpu: whether they share a GPU; otherwise Ray hides the machine's from them.
        """
        self._workers = workers
        self._on_gpu = on_gpu
        self._cluster = RayCluster(workers, address=address, on_gpu=on_gpu)
        self._evaluations: dict[Path, RayEvaluations] = {}

    def run(self, tasks: Sequence[SearchTask], *, on_trial: OnTaskTrial, should_stop: ShouldStop) -> list[SearchResult]:
        """One result per task, in the order of `tasks`; see `Executor.run`."""
        if not tasks or should_stop():
            return []
        journal = TrialJournal(tasks, on_trial)
        try:
            died = self._search(tasks, journal, should_stop)
        except ShrinkError:
            raise
        except Exception as error:  # a process of Ray's own was killed, and each of them says so in its own way
            journal.raise_listener_error()
            log.warning("Ray ended (%s: %s); it is started again", type(error).__name__, error)
            died = self._search_again(tasks, journal, should_stop)
        if not should_stop():
            journal.refuse_failures(died)
        return journal.results()

    def _search_again(
        self, tasks: Sequence[SearchTask], journal: TrialJournal, should_stop: ShouldStop
    ) -> Sequence[BaseException]:
        """The same under a new Ray; see `_search`.

        Raises:
            LostProcessError: that one ended, too.
        """
        self.close()
        try:
            return self._search(tasks, journal, should_stop)
        except ShrinkError:
            raise
        except Exception as error:
            journal.raise_listener_error()
            raise LostProcessError(
                f"Ray ended twice ({type(error).__name__}: {error}); perhaps for want of memory"
            ) from error

    def _search(
        self, tasks: Sequence[SearchTask], journal: TrialJournal, should_stop: ShouldStop
    ) -> Sequence[BaseException]:
        """Run the searches, whose reports go to `journal`; return what their workers died of."""
        with environment(RAY_SETTINGS):
            storage = self._cluster.start() / "tune"
            run = uuid.uuid4().hex
            workspaces = {folder: self._handed(Path(folder), run) for folder in {task.workspace for task in tasks}}
            try:
                errors: Sequence[BaseException] = (
                    self._tuner(tasks, workspaces, journal, should_stop, storage).fit().errors
                )
            finally:
                shutil.rmtree(storage, ignore_errors=True)
        return errors

    def close(self) -> None:
        """End every process that was started."""
        self._evaluations.clear()
        self._cluster.close()

    def _handed(self, folder: Path, run: str) -> HandedWorkspace:
        database = database_of(folder)
        if database not in self._evaluations:
            self._evaluations[database] = keep_evaluations(database)
        evaluations = self._evaluations[database]
        return HandedWorkspace(pack(folder, ray.put), evaluations, StopSignal(evaluations.keeper, run))

    def _tuner(
        self,
        tasks: Sequence[SearchTask],
        workspaces: Mapping[str, HandedWorkspace],
        journal: TrialJournal,
        should_stop: ShouldStop,
        storage: Path,
    ) -> tune.Tuner:
        resources = {"cpu": 1.0, "gpu": 1.0 / self._workers if self._on_gpu else 0.0}
        handed = tune.with_parameters(search, tasks=tuple(tasks), workspaces=workspaces)
        return tune.Tuner(
            tune.with_resources(handed, resources),
            param_space={"index": tune.grid_search(list(range(len(tasks))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=self._workers, reuse_actors=True),
            run_config=tune.RunConfig(
                name="searches",
                storage_path=str(storage),
                stop=StopOnDemand(lambda: should_stop() or journal.failed, [one.stop for one in workspaces.values()]),
                callbacks=[Listener(journal)],
                failure_config=tune.FailureConfig(max_failures=RESTARTS),
                verbose=0,
            ),
        )
