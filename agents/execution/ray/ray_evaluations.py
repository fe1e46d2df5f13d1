"""An evaluation store for workers on any machine of a cluster: they ask an actor on the machine where its file lies."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from agents.search.evaluations.evaluation_store import PlanPart
from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from agents.search.racing import Errors
from shrinkml.errors import StageError

log = logging.getLogger(__name__)

MOST_WAIT_FOR_ANSWER_S = 120.0  # answers take a millisecond; the first one, or that after a restart, a few seconds
ASK_AGAIN_S = 0.2  # after which a restarting actor is asked again


@dataclass(frozen=True, slots=True)
class RayEvaluations:
    """Implements `agents.search.evaluations.evaluation_store.EvaluationStore` for those who have the actor's handle.

    The actor may die at any time: Ray starts it again, and what it knows lies in its file. A question is then asked
    again; one that must not be answered twice is first undone, or found to have been answered.

    Attributes:
        keeper: handle of the actor, a Keeper.
    """

    keeper: Any  # ray.actor.ActorHandle, which is not typed

    def get(self, asked: PlanPart) -> Errors | None:
        """The word errors of `asked`; see `EvaluationStore.get`."""
        errors: Errors | None = self._insist("get", asked)
        return errors

    def claim(self, asked: PlanPart, owner: ProcessIdentity) -> bool:
        """True where `asked` is now for `owner` to judge; see `EvaluationStore.claim`."""
        try:
            return bool(self._ask("claim", asked, owner))
        except ActorUnavailableError:
            self.release(asked, owner)  # it may have been granted
            return False

    def renew(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """Begin the lease of `owner`'s claim anew; see `EvaluationStore.renew`."""
        self._insist("renew", asked, owner)

    def store(self, asked: PlanPart, owner: ProcessIdentity, errors: Errors) -> None:
        """Keep the `errors` of `asked` and end `owner`'s claim; see `EvaluationStore.store`."""
        try:
            self._ask("store", asked, owner, errors)
        except ActorUnavailableError:
            if self.get(asked) is None:
                self.store(asked, owner, errors)

    def release(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """End `owner`'s claim; see `EvaluationStore.release`."""
        self._insist("release", asked, owner)

    def evaluations_made(self, context: str) -> dict[tuple[str, int], int]:
        """Plan digest and part -> how many evaluations of it were finished."""
        made: dict[tuple[str, int], int] = self._insist("evaluations_made", context)
        return made

    def _insist(self, question: str, *values: object) -> Any:
        """The answer to what may be asked twice, asked until it comes."""
        deadline = time.monotonic() + MOST_WAIT_FOR_ANSWER_S
        while True:
            try:
                return self._ask(question, *values)
            except ActorUnavailableError:
                if time.monotonic() > deadline:
                    raise
                log.warning("the evaluation store is not there; it is asked again")
                time.sleep(ASK_AGAIN_S)

    def _ask(self, question: str, *values: object) -> Any:
        """The answer to `question`, a method of the store.

        Raises:
            StageError: none came in time.
            ActorUnavailableError: the actor died before it answered; whether it had done as asked is not known.
        """
        try:
            return ray.get(getattr(self.keeper, question).remote(*values), timeout=MOST_WAIT_FOR_ANSWER_S)
        except GetTimeoutError:
            raise StageError(
                f"the store of evaluations did not answer within {MOST_WAIT_FOR_ANSWER_S:.0f} s; see whether the "
                "machine that runs the job is overloaded or cut off, then resume the job"
            ) from None


class Keeper(SqliteEvaluations):
    """The store that workers ask, and what they ask it beside: whether their run is to stop."""

    def __init__(self, path: Path) -> None:
        """The store in the file `path`; all runs go on."""
        super().__init__(path)
        self._stopped: set[str] = set()

    def stop(self, run: str) -> None:
        """Have the workers of `run` stop."""
        self._stopped.add(run)

    def stopped(self, run: str) -> bool:
        """True where the workers of `run` are to stop."""
        return run in self._stopped


def keep_evaluations(path: Path) -> RayEvaluations:
    """The store in the SQLite file `path` of this machine, kept by a new actor on it, which ends with this process."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    keeper = ray.remote(Keeper).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
    return RayEvaluations(keeper.remote(path))
