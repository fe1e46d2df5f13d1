"""The files of uploads in a folder of this machine.

received/<upload>   the archive, as far as it has come; locked by the one who writes, checks or removes it
unpacking/<upload>  its content while it is checked
content/<sha256>    the content of a good archive, kept once for all who sent the same
lock                held while a content is put in place, or removed

A part that is cut leaves what came of it, and a process that is killed no more than that: what is unpacked gets its
place when it is whole.
"""

import base64
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from server.jobs.failures import is_disk_full
from server.service_errors import BusyError, DiskFullError, UploadPartError
from server.uploads.unpacking import write_all

DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
FULL = (
    "the disk of the server is full; nothing of this part is kept, and what came before is: delete jobs and uploads "
    "that are no longer needed, then go on"
)


class UploadFolder:
    """The folder of all uploads of a home."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, made with the first upload."""
        self._root = root

    def archive(self, upload_id: str) -> Path:
        """Return the file of the archive as far as it has been received."""
        return self._root / "received" / upload_id

    def received(self, upload_id: str) -> int:
        """Return the bytes of the archive that have come."""
        try:
            return self.archive(upload_id).stat().st_size
        except FileNotFoundError:
            return 0

    def content(self, sha256: str) -> Path:
        """Return the folder of the content of the archive with this checksum."""
        return self._root / "content" / sha256

    def unpacking(self, upload_id: str) -> Path:
        """Return the folder to unpack the archive to."""
        return self._root / "unpacking" / upload_id

    @contextmanager
    def held(self, upload_id: str, *, wait: bool = False) -> Iterator[IO[bytes]]:
        """Hold the archive, made where it is missing, against everybody else; the kernel releases it in any case.

        Raises:
            BusyError: somebody else does, and nobody wants to `wait`.
        """
        archive = self.archive(upload_id)
        archive.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(archive, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise BusyError("another request sends or checks this upload just now; ask again in a moment") from None
            yield file

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Hold the places of all contents: what is there stays, and nothing new comes."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def place(self, upload_id: str, sha256: str) -> None:
        """Make what was unpacked of the upload the content with this checksum, unless there is one."""
        target = self.content(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            os.replace(self.unpacking(upload_id), target)
            _flush(target.parent)

    def clear(self, upload_id: str) -> None:
        """Remove the archive, and what was unpacked of it."""
        shutil.rmtree(self.unpacking(upload_id), ignore_errors=True)
        self.archive(upload_id).unlink(missing_ok=True)

    def remove_content(self, sha256: str) -> None:
        """Remove the content with this checksum; it is gone at once, or not at all."""
        gone = self.unpacking(f"removed-{secrets.token_hex(8)}")
        gone.parent.mkdir(parents=True, exist_ok=True)
        if self.content(sha256).is_dir():
            os.replace(self.content(sha256), gone)
            shutil.rmtree(gone, ignore_errors=True)

    def stray(self, name: str) -> Path:
        """Return the file or folder called `name`, as "received/NAME": one of those that `names` lists."""
        return self._root / name

    def remove_stray(self, name: str) -> None:
        """Remove what belongs to no upload."""
        path = self.stray(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def names(self) -> dict[str, set[str]]:
        """Return received, unpacking, content -> the names that lie there."""
        places = ("received", "unpacking", "content")
        return {it: set(os.listdir(self._root / it)) if (self._root / it).is_dir() else set() for it in places}


class Part:
    """A part of an archive while it arrives."""

    def __init__(self, file: IO[bytes], first: int, digest: str | None) -> None:
        """Take in a part from byte `first` on, which replaces what came from there on before.

        Args:
            file: of the archive, held.
            first: of the bytes of the part; all before it have been received.
            digest: value of the header Content-Digest, if there is one.

        Raises:
            UploadPartError: `digest` is no sha-256.
        """
        self._expected = None if digest is None else _parsed(digest)
        self._file, self._first, self._hash = file, first, hashlib.sha256()
        file.truncate(first)
        file.seek(first)

    def write(self, piece: bytes) -> None:
        """Append `piece`.

        Raises:
            DiskFullError: there is no space for it; nothing of the part is kept.
        """
        self._hash.update(piece)
        try:
            write_all(self._file, piece)
        except OSError as error:
            if not is_disk_full(error):
                raise
            self._file.truncate(self._first)
            raise DiskFullError(FULL) from error

    def finish(self) -> int:
        """Return the bytes of the archive that have come, once the part has arrived.

        Raises:
            UploadPartError: it is not the one that its digest tells; nothing of it is kept.
        """
        if self._expected not in (None, self._hash.digest()):
            self._file.truncate(self._first)
            raise UploadPartError(
                "the part arrived with another sha-256 than its Content-Digest tells, and is dropped; send it again"
            )
        return self._file.tell()


def _flush(folder: Path) -> None:
    """Return when the names in `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(digest: str) -> bytes:
    found = DIGEST.search(digest)
    if found is None:
        raise UploadPartError(
            f"Content-Digest is {digest!r:.200}; allowed: sha-256=:BASE64: (RFC 9530), or no such header"
        )
    return base64.b64decode(found[1])
