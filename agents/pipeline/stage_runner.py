"""Runs stages: names them, tells of them, logs them, makes each durable."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from agents.pipeline.folder.stage_results import from_json, to_json
from agents.pipeline.progress.progress_meter import ProgressMeter
from agents.pipeline.stage import Finished, RunState, Stage, StageContext, Teller, Tools
from shrinkml.errors import StoppedError
from shrinkml.events import Event, OnEvent
from shrinkml.freed_memory import give_back_memory

R = TypeVar("R")

RunStage = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]

log = logging.getLogger(__name__)


class StageRunner:
    """Runs stages one after another; the same job asks for the same stages in the same order, resumed or not."""

    def __init__(self, tools: Tools, meter: ProgressMeter, *, on_event: OnEvent, run_stage: RunStage) -> None:
        """A runner that has run nothing yet.

        Args:
            tools: of the job.
            meter: of its progress.
            on_event: called with every event.
            run_stage: called with the name of each stage and what runs it; returns what that returns, or what it
                returned in an earlier process.
        """
        self._tools = tools
        self._meter = meter
        self._on_event = on_event
        self._run_stage = run_stage

    def run(self, stage: Stage[R], state: RunState) -> Finished[R]:
        """The finished `stage`, run now unless it was finished before, and noted in `state`.

        Raises:
            StoppedError: a stop was asked for.
        """
        step = state.step
        name = stage.name if step is None else f"{stage.name}-{step.label}"
        if self._tools.should_stop():
            raise StoppedError(f"stopped before stage {name}")
        ahead = _planned(self._tools, state)
        self._meter.begin(stage, ratio=None if step is None else step.ratio, ahead=ahead)
        log.info("stage %s started", name)
        self._on_event(Event("stage_started", f"{name}/started", name, f"{name} started", progress=self._meter.at()))
        result = self._run_stage(name, lambda: self._tools.folder.finish(name, self._work(stage, name, state)))
        record, seconds = from_json(stage.record, result, stage=name), result["seconds"]
        if stage.sizes is not None:
            self._meter.know(stage.sizes(record, self._tools.spec))
        progress = self._meter.finish(seconds, record, evaluations=stage.evaluated(record))
        message = f"{name} finished in {seconds:.1f} s"
        log.info("stage %s", message)
        self._on_event(Event("stage_finished", f"{name}/finished", name, message, result, progress))
        finished = Finished(name, self._tools.folder.stage(name), record, seconds)
        (state.finished_in_step if stage.per_step else state.finished)[stage.name] = finished
        return finished

    def _work(self, stage: Stage[R], name: str, state: RunState) -> Callable[[Path], dict[str, Any]]:
        """The work of `stage` in a folder, as JSON, with the `seconds` that it took."""

        def work(folder: Path) -> dict[str, Any]:
            start = time.monotonic()
            teller = Teller(name, self._meter.at, self._on_event, self._meter.expect)
            context = StageContext(self._tools, state, folder, teller)
            try:
                record = stage.run(context)
            except StoppedError:
                log.info("stage %s stopped", name)
                raise
            except Exception as error:
                log.info("stage %s failed: %s: %s", name, type(error).__name__, error)
                raise
            finally:
                give_back_memory()
            return {**to_json(record), "seconds": time.monotonic() - start}

        return work


def _planned(tools: Tools, state: RunState) -> tuple[float, ...]:
    """The ratios still to be tried: all of them before the first step, those of the step in it, none after the last."""
    if state.step is not None:
        return state.step.ahead
    return () if state.outcomes else tools.spec.step_ratios


def run_plainly(name: str, stage: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a stage with nothing around it."""
    return stage()
