"""An evaluation store for the threads of one process, gone with it: the twin of the SQLite file."""

import logging
import threading
from collections import Counter

from agents.search.evaluations.claim import Claim
from agents.search.evaluations.evaluation_store import PlanPart
from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.racing import Errors

log = logging.getLogger(__name__)


class MemoryEvaluations:
    """Implements `agents.search.evaluations.evaluation_store.EvaluationStore` in dictionaries."""

    def __init__(self) -> None:
        """An empty store."""
        self._lock = threading.Lock()
        self._results: dict[PlanPart, Errors] = {}
        self._claims: dict[PlanPart, Claim] = {}
        self._made: Counter[PlanPart] = Counter()

    def get(self, asked: PlanPart) -> Errors | None:
        """The word errors of `asked`; see `EvaluationStore.get`."""
        return self._results.get(asked)

    def claim(self, asked: PlanPart, owner: ProcessIdentity) -> bool:
        """True where `asked` is now for `owner` to judge; see `EvaluationStore.claim`."""
        with self._lock:
            if asked in self._results:
                return False
            held = self._claims.get(asked)
            if held is not None:
                if not held.is_abandoned:
                    return False
                log.warning("part %d of %s is taken over from %s", asked.part, asked.plan.digest, held.owner)
            self._claims[asked] = Claim.of(owner)
            return True

    def renew(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """Begin the lease of `owner`'s claim anew; see `EvaluationStore.renew`."""
        with self._lock:
            if self._is_held_by(owner, asked):
                self._claims[asked] = Claim.of(owner)

    def store(self, asked: PlanPart, owner: ProcessIdentity, errors: Errors) -> None:
        """Keep the `errors` of `asked` and end `owner`'s claim; see `EvaluationStore.store`."""
        with self._lock:
            self._results.setdefault(asked, errors)
            self._made[asked] += 1
            self._end_claim(asked, owner)

    def release(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """End `owner`'s claim; see `EvaluationStore.release`."""
        with self._lock:
            self._end_claim(asked, owner)

    def evaluations_made(self, context: str) -> dict[tuple[str, int], int]:
        """Plan digest and part -> how many evaluations of it were finished."""
        return {(asked.plan.digest, asked.part): n for asked, n in self._made.items() if asked.context == context}

    def _end_claim(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        if self._is_held_by(owner, asked):
            del self._claims[asked]

    def _is_held_by(self, owner: ProcessIdentity, asked: PlanPart) -> bool:
        return asked in self._claims and self._claims[asked].owner == owner
