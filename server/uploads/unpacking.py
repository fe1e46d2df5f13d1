"""Safe unpacking of zip and tar archives that strangers have sent.

Taken are files and folders of plain relative names, and nothing else: no links, no devices, no sparse or encrypted
files. A tar may not be compressed, and of zip's methods only deflate is taken; so the files of an archive are bounded
by its own size, times a ratio for zip.

References:
    PEP 706, Filter for tarfile.extractall; Fifield 2019, A better zip bomb (USENIX WOOT).
"""

import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from server.jobs.failures import is_disk_full
from server.limits import Limits
from server.service_errors import ArchiveError

CHUNK_BYTES = 1 << 20
MOST_AT_ONCE = 1 << 25  # bytes that a library may read at once, such as a header or a directory of names
MOST_PARTS = 16  # of a name: folders in folders
MOST_NAME = 1024  # bytes of a name
SLACK_BYTES = 1 << 20  # that small archives may unpack to, whatever the ratio
FLUSHED_SINGLY = 64  # files; of more, the whole disk is flushed once instead
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ZIP_MARKS = (b"PK\3\4", b"PK\5\6")  # that a zip begins with; the second, an empty one
BROKEN = (  # what the libraries raise for what is no archive
    tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, OSError, ValueError, LookupError, EOFError,
    RuntimeError, ArithmeticError,
)  # fmt: skip


@dataclass(slots=True)
class Allowance:
    """The room that is left to an archive.

    Attributes:
        files: and folders.
        bytes: of all its files.
    """

    files: int
    bytes: int

    def take_file(self) -> None:
        """Count one more file or folder.

        Raises:
            ArchiveError: that is one too many.
        """
        self.files -= 1
        if self.files < 0:
            raise ArchiveError("the archive holds more files and folders than the limit upload_files allows")

    def take_bytes(self, n: int) -> None:
        """Count `n` more bytes.

        Raises:
            ArchiveError: they are too many.
        """
        self.bytes -= n
        if self.bytes < 0:
            raise ArchiveError(
                "the archive unpacks to more than its owner has room for, or the limits upload_gb and upload_ratio "
                "allow; of a zip that is packed too well, send a tar"
            )


def allowance_of(archive: Path, limits: Limits, *, room: int | None = None) -> Allowance:
    """Return what may come out of `archive`, with `room` for so many bytes (None: as `limits` say)."""
    expanded = max(SLACK_BYTES, int(archive.stat().st_size * limits.upload_ratio))
    return Allowance(limits.upload_files, min(expanded, limits.upload_bytes, *([] if room is None else [room])))


def unpack(archive: Path, folder: Path, allowance: Allowance) -> int:
    """Unpack `archive` into `folder`, which is new. Returns the bytes of its files, which are on the disk then.

    Raises:
        ArchiveError: it is neither zip nor tar, is broken, or holds what may not be unpacked; a part may have been.
        OSError: the disk is full.
    """
    allowed = allowance.bytes
    try:
        with _opened(archive) as members:
            for name, content in members:
                allowance.take_file()
                _place(folder, name, content, allowance)
    except BROKEN as error:
        if is_disk_full(error) or isinstance(error, ArchiveError):
            raise
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ArchiveError(f"the archive cannot be unpacked: {words or type(error).__name__}") from error
    _flush(folder)
    return allowed - allowance.bytes


def _flush(folder: Path) -> None:
    """Return when all files in `folder` are on the disk."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) > FLUSHED_SINGLY:
        os.sync()
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _place(folder: Path, name: str, content: IO[bytes] | None, allowance: Allowance) -> None:
    """Write one file, or make one folder where there is no `content`."""
    target = folder / _plain(name)
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = target.open("xb", buffering=0)
    except FileExistsError:
        raise ArchiveError(f"the archive holds {name!r:.200} twice") from None
    with content, file:
        while piece := content.read(CHUNK_BYTES):
            allowance.take_bytes(len(piece))
            write_all(file, piece)


def write_all(file: IO[bytes], piece: bytes) -> None:
    """Write all of `piece` to the unbuffered `file`, which may take less at a time."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _plain(name: str) -> PurePosixPath:
    """Return `name` as a path that leads nowhere but down.

    Raises:
        ArchiveError: it is none.
    """
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name
    long = len(path.parts) > MOST_PARTS or len(name.encode("utf-8", "surrogateescape")) > MOST_NAME
    if unsafe or long or not path.parts:
        raise ArchiveError(
            f"the archive holds {name!r:.200}; allowed are relative names without .. and backslashes, at most "
            f"{MOST_PARTS} folders deep and {MOST_NAME} bytes long"
        )
    return path


class _Modest:
    """A file that hands out no more than MOST_AT_ONCE: libraries believe what an archive says of its headers."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, n: int = -1) -> bytes:
        """Return `n` bytes.

        Raises:
            ValueError: they are too many.
        """
        if n > MOST_AT_ONCE:
            raise ValueError(f"a header of {n} bytes; allowed are {MOST_AT_ONCE}")
        return self._file.read(MOST_AT_ONCE if n < 0 else n)

    def seekable(self) -> bool:
        """Return True."""
        return True


Members = Iterator[tuple[str, IO[bytes] | None]]  # name -> content, None for a folder


@contextmanager
def _opened(archive: Path) -> Iterator[Members]:
    """Yield the members of `archive`, by what its content is."""
    with archive.open("rb") as file:
        is_zip = file.read(len(ZIP_MARKS[0])) in ZIP_MARKS
        file.seek(0)
        modest: IO[bytes] = _Modest(file)  # type: ignore[assignment]
        if is_zip:
            with zipfile.ZipFile(modest) as found:
                yield _zip_members(found)
        else:
            with closing(_tar(modest)) as tar:
                yield _tar_members(tar)


def _tar(file: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")  # not compressed: a small file could become a huge one
    except tarfile.TarError as error:
        raise ArchiveError(f"the archive is no zip and no uncompressed tar ({error})") from error


def _zip_members(found: zipfile.ZipFile) -> Members:
    for info in found.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1 or info.compress_type not in METHODS:
            raise _strange(info.filename)
        yield info.filename, None if info.is_dir() else found.open(info)


def _tar_members(tar: tarfile.TarFile) -> Members:
    for member in tar:
        if not (member.isdir() or member.isreg()) or member.issparse():
            raise _strange(member.name)
        if member.isdir() and member.name in (".", "./", ""):  # as `tar -C FOLDER .` begins
            continue
        yield member.name, None if member.isdir() else tar.extractfile(member)


def _strange(name: str) -> ArchiveError:
    return ArchiveError(
        f"{name!r:.200} in the archive is a link, a device, sparse, encrypted, or compressed in a rare way; "
        "allowed are plain files and folders"
    )
