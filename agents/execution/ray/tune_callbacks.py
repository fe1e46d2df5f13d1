"""The driver's ear in a run of Tune: reports go to the journal, and a run ends when it must."""

import logging
import time
from collections.abc import Collection
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from agents.execution.ray.stop_signal import StopSignal
from agents.execution.ray.trial_journal import TrialJournal
from shrinkml.errors import StageError
from shrinkml.events import ShouldStop

log = logging.getLogger(__name__)

MOST_WAIT_FOR_WORKER_S = 300.0  # to start, on a busy machine; without a free CPU we would wait forever


class _NotSaved:
    """Tune writes its callbacks and stoppers to disk, for a way of resuming that is not used here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Listener(_NotSaved, tune.Callback):
    """Hands reports to the journal and bounds the wait for a first worker."""

    def __init__(self, journal: TrialJournal) -> None:
        """A listener that has waited for no time yet."""
        self._journal = journal
        self._idle_since = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Note a report."""
        self._journal.note(trial.config["index"], result)

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Log that a worker died and another one goes on."""
        log.warning("the worker of %s died; another one goes on", self._journal.name(trial.config["index"]))

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """See whether anything runs.

        Raises:
            StageError: nothing has for too long.
        """
        if any(trial.status == TuneTrial.RUNNING for trial in trials):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > MOST_WAIT_FOR_WORKER_S:
            raise StageError(
                f"Ray had no free CPU or GPU for {MOST_WAIT_FOR_WORKER_S:.0f} s; add workers or end other jobs"
            )


class StopOnDemand(_NotSaved, tune.Stopper):
    """Ends all trials as soon as `should_stop` says so, and has their workers know."""

    def __init__(self, should_stop: ShouldStop, signals: Collection[StopSignal] = ()) -> None:
        """A stopper that asks `should_stop`, and then gives `signals`."""
        self._should_stop = should_stop
        self._signals = signals

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no trial is stopped alone."""
        return False

    def stop_all(self) -> bool:
        """Return True to end all of them."""
        if not self._should_stop():
            return False
        for signal in self._signals:
            signal.give()
        return True
