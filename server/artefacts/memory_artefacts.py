"""An artefact store in memory: for tests."""

import hashlib
import io
import threading
from typing import BinaryIO

from server.artefacts.artefact_store import Artefact, ArtefactKind, Write, gone, missing, require_safe


class MemoryArtefacts:
    """Jobs' files in this process; see `server.artefacts.artefact_store.ArtefactStore`."""

    def __init__(self) -> None:
        """Keep no file yet."""
        self._lock = threading.Lock()
        self._files: dict[tuple[str, str], tuple[Artefact, bytes]] = {}

    def check(self) -> None:
        """Return: memory is there."""

    def put(self, job_id: str, name: str, kind: ArtefactKind, write: Write) -> Artefact:
        """Keep what `write` writes as the job's file `name`."""
        require_safe(job_id, name)
        stream = io.BytesIO()
        write(stream)
        content = stream.getvalue()
        artefact = Artefact(name, kind, len(content), hashlib.sha256(content).hexdigest())
        with self._lock:
            self._files[job_id, name] = (artefact, content)
        return artefact

    def entries(self, job_id: str, kind: ArtefactKind | None = None) -> tuple[Artefact, ...]:
        """Return the job's files of `kind`, or all, by name."""
        with self._lock:
            there = sorted(key for key in self._files if key[0] == job_id)
            return tuple(artefact for key in there if kind in (None, (artefact := self._files[key][0]).kind))

    def find(self, job_id: str, name: str) -> Artefact:
        """Return the job's file `name`."""
        with self._lock:
            found = self._files.get((job_id, name))
        if found is None:
            raise missing(job_id, name, self.entries(job_id))
        return found[0]

    def open(self, job_id: str, artefact: Artefact) -> BinaryIO:
        """Return the content of `artefact`."""
        with self._lock:
            found = self._files.get((job_id, artefact.name))
        if found is None or found[0].sha256 != artefact.sha256:
            raise gone(job_id, artefact)
        return io.BytesIO(found[1])

    def delete(self, job_id: str, name: str) -> None:
        """Remove the job's file `name` if it is there."""
        with self._lock:
            self._files.pop((job_id, name), None)

    def clear(self, job_id: str) -> None:
        """Remove every file of the job."""
        require_safe(job_id)
        with self._lock:
            self._files = {key: kept for key, kept in self._files.items() if key[0] != job_id}
