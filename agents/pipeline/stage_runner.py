"""Runs a job's stages in order: names them, tells of them, makes each durable."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.pipeline.progress_meter import ProgressMeter
from agents.pipeline.run_folder import RunFolder
from shrinkml.errors import StoppedError
from shrinkml.events import Event, OnEvent, ShouldStop

RunStage = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished stage.

    Attributes:
        name: unique in the job ("04-search-2.24x").
        folder: what it made.
        result: what it returned, and `seconds`.
    """

    name: str
    folder: Path
    result: Mapping[str, Any]


class Teller:
    """Tells of what happens within one stage."""

    def __init__(self, stage: str, meter: ProgressMeter, on_event: OnEvent) -> None:
        self._stage = stage
        self._meter = meter
        self._on_event = on_event

    def tell(self, kind: str, key: str, message: str, data: Mapping[str, Any], *, n_done: int, n_total: int) -> None:
        """Announces step `n_done` of the `n_total` steps of the stage; `key` is unique in the stage."""
        progress = self._meter.at(n_done, n_total)
        self._on_event(Event(kind, f"{self._stage}/{key}", self._stage, message, data, progress))


class StageRunner:
    """Runs stages one after another; the same job asks for the same stages in the same order, resumed or not.

    Attributes:
        seconds: that the finished stages took, also in earlier processes.
    """

    def __init__(
        self,
        folder: RunFolder,
        meter: ProgressMeter,
        *,
        on_event: OnEvent,
        should_stop: ShouldStop,
        run_stage: RunStage,
    ) -> None:
        self._folder = folder
        self._meter = meter
        self._on_event = on_event
        self._should_stop = should_stop
        self._run_stage = run_stage
        self._n_started = 0
        self.seconds = 0.0

    def run(
        self,
        kind: str,
        work: Callable[[Path, Teller], dict[str, Any]],
        *,
        ratio: float | None = None,
        ahead: Sequence[float] = (),
    ) -> Finished:
        """The finished stage, run now unless it was finished before.

        Args:
            kind: one of `agents.pipeline.progress_meter.STAGES`.
            work: gets the stage's folder and teller, returns a JSON-able result; plans that it judged are counted
                under the key `evaluations`.
            ratio: compression ratio that the stage works for.
            ahead: ratios still to be tried after it.

        Raises:
            StoppedError: a stop was asked for.
        """
        self._n_started += 1
        name = f"{self._n_started:02d}-{kind}" + ("" if ratio is None else f"-{ratio:g}x")
        if self._should_stop():
            raise StoppedError(f"stopped before stage {name}")
        self._meter.begin(kind, ratio=ratio, ahead=ahead)
        started = Event("stage_started", f"{name}/started", name, f"{name} started", progress=self._meter.at())
        self._on_event(started)
        teller = Teller(name, self._meter, self._on_event)
        result = self._run_stage(name, lambda: self._folder.finish(name, lambda folder: _timed(work, folder, teller)))
        self.seconds += result["seconds"]
        progress = self._meter.finish(result["seconds"], evaluations=result.get("evaluations", 0))
        message = f"{name} finished in {result['seconds']:.1f} s"
        self._on_event(Event("stage_finished", f"{name}/finished", name, message, result, progress))
        return Finished(name, self._folder.stage(name), result)


def run_plainly(name: str, stage: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Runs a stage with nothing around it."""
    return stage()


def _timed(work: Callable[[Path, Teller], dict[str, Any]], folder: Path, teller: Teller) -> dict[str, Any]:
    start = time.monotonic()
    return {**work(folder, teller), "seconds": time.monotonic() - start}
