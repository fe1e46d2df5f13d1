"""An artefact store in a folder of this machine.

<job>/entries/<name>.json   kind, size and checksum of a file; it is there as soon as this is
<job>/content/<sha256>      its content
<job>/lock                  held by the one who writes; readers need none

A content gets its name when it is whole, and what no entry names any more is removed by the next who writes: also what
a killed process left.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from server.artefacts.artefact_store import Artefact, ArtefactKind, Write, gone, missing, require_safe

PARTIAL = ".partial"  # no checksum: what is being written


class FolderArtefacts:
    """Jobs' files below one folder; see `server.artefacts.artefact_store.ArtefactStore`."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, made with the first file."""
        self._root = root

    def check(self) -> None:
        """Return where files can be kept: one without a name is made."""
        self._root.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self._root):
            pass

    def put(self, job_id: str, name: str, kind: ArtefactKind, write: Write) -> Artefact:
        """Keep what `write` writes as the job's file `name`."""
        require_safe(job_id, name)
        with self._writing(job_id) as folder:
            partial = folder / "content" / PARTIAL
            sha256 = _written(partial, write)
            artefact = Artefact(name, kind, partial.stat().st_size, sha256)
            os.replace(partial, folder / "content" / sha256)
            entry = folder / "entries" / PARTIAL
            entry.write_text(json.dumps(asdict(artefact)))
            os.replace(entry, _entry(folder, name))
        return artefact

    def entries(self, job_id: str, kind: ArtefactKind | None = None) -> tuple[Artefact, ...]:
        """Return the job's files of `kind`, or all, by name."""
        require_safe(job_id)
        found = _entries(self._root / job_id)
        return tuple(artefact for artefact in found if kind in (None, artefact.kind))

    def find(self, job_id: str, name: str) -> Artefact:
        """Return the job's file `name`."""
        there = self.entries(job_id)
        for artefact in there:
            if artefact.name == name:
                return artefact
        raise missing(job_id, name, there)

    def open(self, job_id: str, artefact: Artefact) -> BinaryIO:
        """Return the content of `artefact`."""
        require_safe(job_id, artefact.sha256)
        try:
            stream = (self._root / job_id / "content" / artefact.sha256).open("rb")
        except FileNotFoundError:
            raise gone(job_id, artefact) from None
        if os.fstat(stream.fileno()).st_size != artefact.bytes:  # cut by somebody else: it would break off
            stream.close()
            raise gone(job_id, artefact)
        return stream

    def delete(self, job_id: str, name: str) -> None:
        """Remove the job's file `name` if it is there."""
        if any(artefact.name == name for artefact in self.entries(job_id)):
            with self._writing(job_id) as folder:
                _entry(folder, name).unlink(missing_ok=True)

    def clear(self, job_id: str) -> None:
        """Remove every file of the job."""
        require_safe(job_id)
        shutil.rmtree(self._root / job_id, ignore_errors=True)

    @contextmanager
    def _writing(self, job_id: str) -> Iterator[Path]:
        """Yield the job's folder while nobody else writes there; remove what no entry names in the end."""
        folder = self._root / job_id
        for part in ("entries", "content"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it however the process ends
            try:
                yield folder
            finally:
                named = {artefact.sha256 for artefact in _entries(folder)}
                for content in (folder / "content").iterdir():
                    if content.name not in named:
                        content.unlink()


def _entry(folder: Path, name: str) -> Path:
    return folder / "entries" / f"{name}.json"


def _entries(folder: Path) -> list[Artefact]:
    found = [_read(path) for path in (folder / "entries").glob("[!.]*.json")]
    return sorted((artefact for artefact in found if artefact is not None), key=lambda artefact: artefact.name)


def _read(path: Path) -> Artefact | None:
    """Return the entry at `path`; None where it was deleted since it was listed."""
    try:
        entry = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Artefact(entry["name"], ArtefactKind(entry["kind"]), entry["bytes"], entry["sha256"])


def _written(path: Path, write: Write) -> str:
    """Return the checksum of what `write` wrote to `path`, which is on the disk then."""
    with path.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
