"""Tar files that are the same whenever they are made, and by whomever: the same files under the same names."""

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO


def write_plain_tar(files: Iterable[tuple[str, Path]], stream: BinaryIO) -> None:
    """Write `files`, name in the tar -> path, to `stream` in that order; neither times, owners nor rights are kept."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files:
            tar.add(path, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member without what differs between two runs: times, owners, the umask."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
