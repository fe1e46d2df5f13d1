"""The speech of commands: tables and bars for people, JSON for programs, errors on one line."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from shrinkml.events import Event
from shrinkml.events import Progress as JobProgress

INTERRUPTED = 130  # the exit status that shells give for Ctrl-C
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: Any, *, one_line: bool = False) -> None:
    """Print `value` as JSON; on one line where one follows another."""
    print(json.dumps(value, indent=None if one_line else 2), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose lines never wrap: what it shows can be copied."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table, soft_wrap=True)


def note(message: str) -> None:
    """Say something to people: on standard error, so that the output stays clean."""
    print(message, file=sys.stderr, flush=True)


TOLD = {"stage_finished", "state", "epoch", "timed", "stopped"}  # kinds of events that are a line each in a log
QUIET_S = 30.0  # without a line in a log, at most, while there is something to tell


class ProgressView:
    """A line that follows a job: stage, bar, best so far, evaluations, time left. On standard error; a context manager.

    Where standard error is no terminal it prints the end of every stage and epoch, plans that are the best so far, and
    whatever comes after QUIET_S without a line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = clock()
        console = Console(stderr=True)
        self._plain = not console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console,
        )
        self._task = self._bar.add_task("waiting", total=1.0, facts="")
        self._best: Mapping[str, Any] | None = None

    def __enter__(self) -> "ProgressView":
        if not self._plain:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._plain:
            self._bar.stop()

    def on_event(self, event: Event) -> None:
        """Show what happened."""
        if event.kind == "stage_started":
            self._best = None
        # A plan that costs more than the step allows only measured a layer; workers of an older version do not tell.
        fits = event.kind == "evaluated" and event.data.get("within_budget", True)
        better = fits and (self._best is None or event.data["wer"] < self._best["wer"])
        if better:
            self._best = event.data
        if self._plain and (better or event.kind in TOLD or self._clock() - self._told_at >= QUIET_S):
            note(", ".join(filter(None, (event.message, _left(event.progress)))))
            self._told_at = self._clock()
        if event.progress is not None:
            self._bar.update(self._task, completed=event.progress.fraction, facts=self._facts(event))
        self._bar.update(self._task, description=event.stage or event.message)

    def _facts(self, event: Event) -> str:
        progress = event.progress
        assert progress is not None
        best = f"best {100 * self._best['wer']:.1f} % WER at {self._best['parameters']:,}" if self._best else ""
        judged = f"{progress.evaluations_done}/{progress.evaluations_total} plans" if progress.evaluations_total else ""
        return "  ".join(filter(None, (best, judged, _left(progress))))


def _left(progress: JobProgress | None) -> str:
    return "" if progress is None or progress.seconds_left is None else f"{duration(progress.seconds_left)} left"


def duration(seconds: float) -> str:
    """75.2 as "1:15"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
