"""A stage, a piece of the pipeline: a record of its name, when it is there, how long it takes and what it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from agents.execution.executor import Executor
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.step import Step, StepOutcome
from shrinkml.errors import StageError
from shrinkml.events import Event, OnEvent, Progress, ShouldStop
from shrinkml.job import JobSpec

R = TypeVar("R")


def takes(seconds: float) -> Callable[[JobSpec, float, Sizes], Work]:
    """The work of a stage that takes about as long in any job."""
    return lambda spec, ratio, sizes: Work(seconds=seconds)


def always(spec: JobSpec, ratio: float) -> bool:
    """True: every job has the stage."""
    return True


def _none(_: object) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Stage(Generic[R]):
    """A piece of the pipeline.

    Attributes:
        name: unique in the table; its folder and its events are called by it, and by the ratio where it has one.
        record: the class of what it returns, a frozen dataclass, kept as result.json.
        run: the work; what else it makes lies in the folder of its context.
        work: of a job, a ratio and the sizes of its speech: what is foreseen.
        per_step: True for a stage of every step, False for one of the whole job.
        present: of a job and a ratio: False where there is nothing to do.
        done: of its record, the job and the sizes, the work that it really made; None where that is what was foreseen.
        evaluations: of a job, the plans that it judges at most.
        evaluated: of its record, the plans that it judged.
        sizes: of its record and the job, the sizes that the work of later stages depends on; None where it tells none.

    For a stage of the whole job the ratio is the goal's.
    """

    name: str
    record: type[R]
    run: Callable[["StageContext"], R]
    work: Callable[[JobSpec, float, Sizes], Work]
    per_step: bool = False
    present: Callable[[JobSpec, float], bool] = always
    done: Callable[[R, JobSpec, Sizes], Work] | None = None
    evaluations: Callable[[JobSpec], int] = _none
    evaluated: Callable[[R], int] = _none
    sizes: Callable[[R, JobSpec], Sizes] | None = None


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """A finished stage.

    Attributes:
        name: unique in the job ("search-2.24x").
        folder: of what it made.
        record: that it returned.
        seconds: that it took, in whichever process.
    """

    name: str
    folder: Path
    record: R
    seconds: float


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that the stages of a job work with.

    Attributes:
        spec: the job.
        folder: its folder.
        materials: the original and the speech.
        executor: runs the searches.
        should_stop: True once the job shall end early.
    """

    spec: JobSpec
    folder: RunFolder
    materials: Materials
    executor: Executor
    should_stop: ShouldStop


@dataclass(slots=True)
class RunState:
    """The point that a job has come to.

    Attributes:
        finished: stages of the whole job, by name.
        step: that is being worked on, if any.
        finished_in_step: its stages, by name.
        outcomes: of the steps before.
    """

    finished: dict[str, Finished[Any]] = field(default_factory=dict)
    step: Step | None = None
    finished_in_step: dict[str, Finished[Any]] = field(default_factory=dict)
    outcomes: list[StepOutcome] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The time that all finished stages took, whichever process ran them."""
        return sum(done.seconds for done in self.finished.values()) + sum(o.seconds for o in self.outcomes)

    def find(self, stage: Stage[R]) -> Finished[R] | None:
        """The finished `stage`, of this step or of the whole job; None where it has not run."""
        return cast(Finished[R] | None, (self.finished_in_step if stage.per_step else self.finished).get(stage.name))

    def get(self, stage: Stage[R]) -> Finished[R]:
        """The finished `stage`.

        Raises:
            StageError: it has not run.
        """
        found = self.find(stage)
        if found is None:
            raise StageError(f"stage {stage.name} has not run; put it before what needs it in the table of stages")
        return found


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells of what happens within one stage.

    Attributes:
        stage: its name in the job.
        progress: of the whole job, with so many of so many parts of the stage done.
        on_event: called with every event.
        expect: called with the stage's work, where it is found out in the course of it.
    """

    stage: str
    progress: Callable[[int, int], Progress]
    on_event: OnEvent
    expect: Callable[[Work], None] = lambda work: None

    def tell(self, kind: str, key: str, message: str, data: Mapping[str, Any], *, n_done: int, n_total: int) -> None:
        """Announce part `n_done` of the `n_total` parts of the stage; `key` is unique in the stage."""
        event = Event(kind, f"{self.stage}/{key}", self.stage, message, data, self.progress(n_done, n_total))
        self.on_event(event)


@dataclass(frozen=True, slots=True)
class StageContext:
    """Everything that a stage runs on.

    Attributes:
        tools: of the job.
        state: the stages that are finished.
        folder: the stage's own, which may hold what a killed run left.
        teller: of its events.
    """

    tools: Tools
    state: RunState
    folder: Path
    teller: Teller

    @property
    def step(self) -> Step:
        """The step that the stage is a part of.

        Raises:
            StageError: the stage is one of the whole job.
        """
        if self.state.step is None:
            raise StageError(f"stage {self.teller.stage} is of the whole job and has no step; mark it as per_step")
        return self.state.step

    @property
    def outcomes(self) -> Sequence[StepOutcome]:
        """The outcomes of the steps before."""
        return self.state.outcomes

    def find(self, stage: Stage[R]) -> R | None:
        """The record of `stage`; None where the job has no such stage."""
        found = self.state.find(stage)
        return None if found is None else found.record

    def record(self, stage: Stage[R]) -> R:
        """The record of `stage`.

        Raises:
            StageError: it has not run.
        """
        return self.state.get(stage).record

    def folder_of(self, stage: Stage[Any]) -> Path:
        """The folder of `stage`.

        Raises:
            StageError: it has not run.
        """
        return self.state.get(stage).folder
