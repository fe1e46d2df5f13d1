"""The folder of a job: everything that it finished, so that a killed run goes on from there.

job.json               the job
stages/<name>/         one folder per finished stage (search-2.24x): result.json and what the stage made
stages/<name>.partial/ a stage at work; a resumed run hands the same folder to the same stage again
checkpoints/<name>/    the models to download
evaluations.sqlite     every plan ever judged
hub.json               the commit of a model of the hub that this is about
original/              links to the model, where its language is told
first-policy.json      the policy that the job began with, where it names one
policy.json            what its strategy has learned since, where it learns one
report.json, report.html
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agents.pipeline.folder.older_run_folder import renew
from shrinkml.errors import ConfigError, ShrinkError, StageError
from shrinkml.job import JobSpec

ORIGINAL = "original"  # a folder of links
FINAL = "final"  # the checkpoint to use
SO_FAR = "best-so-far"  # the checkpoint that a stopped job leaves
POLICY = "policy.json"
StageWork = Callable[[Path], dict[str, Any]]
Describe = Callable[[Path], None]


class RunFolder:
    """A job's folder, held by one process at a time (see `opened`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / "checkpoints"
        self.evaluations = root / "evaluations.sqlite"
        self.first_policy = root / "first-policy.json"
        self.policy = root / POLICY

    def stage(self, name: str) -> Path:
        """The folder of the finished stage `name`."""
        return self.root / "stages" / name

    def begun(self, name: str) -> Path:
        """The folder of the stage `name`, whether it is finished or still at work."""
        done = self.stage(name)
        return done if done.exists() else done.with_name(f"{name}.partial")

    def finish(self, name: str, work: StageWork) -> dict[str, Any]:
        """The result of the stage `name`: what is on disk if it is finished, else what `work` returns.

        `work` gets the stage's partial folder, which may hold what a killed run left. It is renamed when `work` is
        done, so a finished stage is whole.
        """
        done = self.stage(name)
        if not done.exists():
            partial = done.with_name(f"{name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            (partial / "result.json").write_text(json.dumps(work(partial), indent=1))
            os.replace(partial, done)
        result: dict[str, Any] = json.loads((done / "result.json").read_text())
        return result

    def publish(self, model: Path, name: str, describe: Describe = lambda copy: None) -> None:
        """Copy the checkpoint `model` to checkpoints/`name`, whole or not at all; replaces one of that name.

        `describe` adds to the copy, before it is published, what is known of the model.
        """
        target = self.checkpoints / name
        partial = target.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(model, partial)
        describe(partial)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)

    def withdraw(self, name: str) -> None:
        """Remove checkpoints/`name` if it is there."""
        shutil.rmtree(self.checkpoints / name, ignore_errors=True)


def remove_partial(root: Path) -> None:
    """Remove what stages at work have left in the job's folder `root`, which a resumed job begins anew."""
    for pattern in ("stages/*.partial", "checkpoints/.*.partial"):
        for partial in root.glob(pattern):
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def opened(root: Path, spec: JobSpec) -> Iterator[RunFolder]:
    """The folder `root` of the job `spec`, locked against other processes while it is open.

    A job that fails before its first stage is finished leaves nothing, so that a corrected one may take the folder.

    Raises:
        StageError: another process works in it.
        ConfigError: it holds another job.
    """
    root = root.resolve()  # worker processes have other working folders
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            # The kernel releases the lock however its process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(f"another process works in {root}; wait until it has ended") from None
        _claim(root / "job.json", spec)
        renew(root)
        try:
            yield RunFolder(root)
        except ShrinkError:
            _forget_unless_begun(root)
            raise


def _forget_unless_begun(root: Path) -> None:
    stages = root / "stages"
    if any(not stage.name.endswith(".partial") for stage in stages.glob("*")):
        return
    for folder in (stages, root / ORIGINAL):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("job.json", "lock"):
        (root / name).unlink(missing_ok=True)
    with suppress(OSError):  # something else lies there
        root.rmdir()


def _claim(record: Path, spec: JobSpec) -> None:
    """Write `spec` to `record`, or check that it is the job recorded there."""
    if not record.exists():
        partial = record.with_name(f"{record.name}.partial")
        partial.write_text(spec.model_dump_json(indent=1))
        os.replace(partial, record)
        return
    there = JobSpec.model_validate_json(record.read_text())
    if there != spec:
        raise ConfigError(
            f"{record.parent} holds another job ({_difference(there, spec)}); ask for the same to go on with it, or "
            "give this one a new folder"
        )


def _difference(there: JobSpec, asked: JobSpec) -> str:
    """The fields that two jobs differ in."""
    before, now = there.model_dump(mode="json"), asked.model_dump(mode="json")
    fields = [name for name in before | now if before.get(name) != now.get(name)]
    return "; ".join(f"{name}: {before.get(name)} there, {now.get(name)} here" for name in fields)
