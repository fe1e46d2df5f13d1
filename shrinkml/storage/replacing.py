"""Folders that are written whole or not at all.

Each lists its files in .shrinkml: a folder that holds anything else, or has no such list, is never replaced.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shrinkml.errors import CheckpointError
from shrinkml.storage.model_folder import CONFIG

LIST = ".shrinkml"  # of what ShrinkML wrote to its folder, a path in each line
N_NAMED = 3  # of the files that stand in the way


@contextmanager
def replacing(folder: Path, *, mark: str = CONFIG) -> Iterator[Path]:
    """A new folder to write a model to, which becomes `folder` in the end; a model that lies there is replaced.

    Args:
        folder: where to.
        mark: the file that tells a model of that form.

    Raises:
        CheckpointError: what lies there is no model of that form, or more than ShrinkML wrote.
    """
    check_replaceable(folder, mark=mark)
    folder = _absolute(folder)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        yield partial
        write_list(partial)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(folder: Path, *, mark: str = CONFIG) -> None:
    """Does nothing where `replacing` would write: to be asked before long work.

    Raises:
        CheckpointError: what lies there is no model of that form, or more than ShrinkML wrote.
    """
    target = _absolute(folder)
    for path in (target, *target.parents):
        if path.is_file():
            raise CheckpointError(f"{path} is a file; write to another folder")
    if target == Path.cwd():
        raise CheckpointError(f"{folder} is the folder that this runs in ({target}); write to a folder inside it")
    if found := strangers(target):
        raise CheckpointError(
            f"{folder} is there and holds what ShrinkML did not write: {found}; write to another folder"
        )
    if not (target / mark).is_file() and target.is_dir() and any(target.iterdir()):
        raise CheckpointError(f"{folder} is there and is of another form: it has no {mark}; write to another folder")


def strangers(folder: Path) -> str:
    """Names of what lies in `folder` that ShrinkML did not write there, in words; empty where there is nothing."""
    if (folder / LIST).is_file():
        found = {*_content(folder)} - {LIST, *(folder / LIST).read_text(encoding="utf-8").splitlines()}
    else:
        found = {*os.listdir(folder)} if folder.is_dir() else set()
    named = ", ".join(sorted(found)[:N_NAMED])
    return named if len(found) <= N_NAMED else f"{named} and {len(found) - N_NAMED} more"


def write_list(folder: Path) -> None:
    """Marks all that lies in `folder` as written by ShrinkML."""
    (folder / LIST).write_text("".join(f"{path}\n" for path in sorted(_content(folder))), encoding="utf-8")


def add_file(folder: Path, name: str, text: str) -> None:
    """Writes one more file into `folder`, and to its list."""
    (folder / name).write_text(text, encoding="utf-8")
    with (folder / LIST).open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")


def _content(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


def _absolute(folder: Path) -> Path:
    return Path(os.path.realpath(folder))  # "." has no name, and a link is replaced where it leads
