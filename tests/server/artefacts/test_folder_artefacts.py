"""The store in a folder: what lies there, also when a process was killed while it wrote."""

import subprocess
import sys

import pytest

from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.folder_artefacts import FolderArtefacts

KIND = ArtefactKind.CHECKPOINT

KILLED = """
import os, sys
from pathlib import Path
from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.folder_artefacts import FolderArtefacts

def write(stream):
    stream.write(b"half of it")
    stream.flush()
    os.kill(os.getpid(), 9)

FolderArtefacts(Path(sys.argv[1])).put("job-1", sys.argv[2], ArtefactKind.CHECKPOINT, write)
"""


@pytest.fixture
def artefacts(tmp_path):
    return FolderArtefacts(tmp_path)


def put(artefacts, name: str, content: bytes):
    return artefacts.put("job-1", name, KIND, lambda stream: stream.write(content))


def files(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_another_process_finds_the_files(artefacts, tmp_path):
    put(artefacts, "a", b"x")
    other = FolderArtefacts(tmp_path)
    assert other.entries("job-1") == artefacts.entries("job-1")


def test_content_that_nothing_names_is_removed(artefacts, tmp_path):
    old, new = put(artefacts, "a", b"old"), put(artefacts, "a", b"new")
    assert old.sha256 != new.sha256
    assert files(tmp_path / "job-1") == {"lock", "entries/a.json", f"content/{new.sha256}"}
    artefacts.delete("job-1", "a")
    assert files(tmp_path / "job-1") == {"lock"}


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_process_killed_while_it_writes_leaves_what_was_there(artefacts, tmp_path, name):
    there = put(artefacts, "a", b"whole")
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), name], capture_output=True, text=True)
    assert run.returncode == -9, run.stderr
    assert artefacts.entries("job-1") == (there,)
    with artefacts.open("job-1", there) as stream:
        assert stream.read() == b"whole"
    put(artefacts, "c", b"next")
    assert len(files(tmp_path / "job-1")) == 5, "the next writer removes the half"
