"""The reference tasks, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shrinkml.errors import ConfigError
from shrinkml.speech.corpora import commands, digits, librispeech
from shrinkml.tables import look_up


@dataclass(frozen=True, slots=True)
class Task:
    """A reference task.

    Attributes:
        prepare: called with the folder to fill, and the source where there is one; split -> manifest.
        source: what the source must be; None for a task that needs none.
        options: names of the arguments of `prepare` that a user may choose.
    """

    prepare: Callable[..., dict[str, Path]]
    source: str | None = None
    options: tuple[str, ...] = ()


TASKS: dict[str, Task] = {
    "commands": Task(commands.prepare),
    "digits": Task(
        digits.prepare,
        source="the Free Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset)",
    ),
    "librispeech": Task(
        librispeech.prepare,
        source="LibriSpeech or a part of it (openslr.org/12)",
        options=("longest_s", "test_speakers"),
    ),
}


def prepare_task(
    name: str,
    folder: Path,
    source: Path | None = None,
    *,
    longest_s: float | None = None,
    test_speakers: int | None = None,
) -> dict[str, Path]:
    """Split -> manifest of the task called `name`, prepared in `folder` with its defaults.

    Args:
        name: in TASKS.
        folder: where the manifests go.
        source: the recordings, for a task that needs some.
        longest_s: longer utterances are left out, where the task has such a limit; None: none are.
        test_speakers: held out for test, where the task lets that be chosen; None: its own number.

    Raises:
        UnknownNameError: no such task.
        ConfigError: a source is missing, or given to a task that needs none; or an option to one that has none such.
        ManifestError: `source` is not what the task needs, or `folder` holds something else.
    """
    task = look_up(TASKS, name, kind="task")
    if (task.source is None) != (source is None):
        needs = f"needs a source: a folder with {task.source}" if task.source else "takes no source"
        raise ConfigError(f"task {name!r} {needs}; got {source}")
    asked = {"longest_s": longest_s, "test_speakers": test_speakers}
    options = {option: value for option, value in asked.items() if value is not None}
    for option in options.keys() - {*task.options}:
        others = ", ".join(name for name, task in TASKS.items() if option in task.options)
        raise ConfigError(f"task {name!r} has no option {option!r}; those that have: {others}")
    return task.prepare(folder, **options) if source is None else task.prepare(folder, source, **options)
