"""Jobs of tests time little: none asks how fast anything is."""

from collections.abc import Callable, Iterable

import pytest

from shrinkml.measure import runtimes
from shrinkml.measure.speed_rows import RuntimeRow

STAGE = "agents.pipeline.stages.conclusion.speed_stage"


def time_moments(patch: pytest.MonkeyPatch) -> None:
    """From now on jobs in this process time a few utterances, once, on one thread, and make no table of runtimes.

    Each row of that table takes a process of its own.
    """
    patch.setattr(runtimes, "thread_counts", lambda: (1,))
    for name, few in {"N_TIMED": 4, "TIMED_RUNS": 1, "N_HEARD": 4}.items():
        patch.setattr(f"{STAGE}.{name}", few)
    patch.setattr(f"{STAGE}.time_runtimes", _time_nothing)


def _time_nothing(
    _: object, models: Iterable[str], *__: object, on_timed: Callable[[str, int], None]
) -> list[RuntimeRow]:
    """In place of `time_runtimes`: tells of all models."""
    for n_done, name in enumerate(models, start=1):
        on_timed(name, n_done)
    return []
