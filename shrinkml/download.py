"""Checkpoints from the service: fetched in parts where the connection breaks, verified, unpacked safely."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from shrinkml.errors import ServiceError
from shrinkml.storage.replacing import strangers, write_list
from shrinkml.transport import persistently, raise_for_problem


def fetch(http: httpx.Client, checkpoint: Mapping[str, Any], folder: Path) -> Path:
    """The folder of `checkpoint`, below `folder`; an earlier download of it is replaced.

    Args:
        http: a connection to the service.
        checkpoint: what the service lists: name, checkpoint, url, bytes, sha256.
        folder: made if it is missing. What a broken download left there is used.

    Raises:
        ServiceError: the server is gone, or what arrived is not what it promised.
    """
    if {checkpoint["name"], checkpoint["checkpoint"]} & {"", ".", ".."} or "/" in checkpoint["name"] + checkpoint[
        "checkpoint"
    ]:
        raise ServiceError(f"the server names a checkpoint {checkpoint['name']!r}, which is no file name")
    target = folder / checkpoint["checkpoint"]
    if found := strangers(target):
        raise ServiceError(f"{target} is there and holds what was not downloaded: {found}; download to another folder")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{checkpoint['name']}.part"
    persistently(lambda: _append(http, checkpoint, partial))
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != checkpoint["sha256"]:
        partial.unlink()
        raise ServiceError(
            f"{checkpoint['name']} arrived with sha256 {digest}, not {checkpoint['sha256']}; download it again"
        )
    try:
        return _unpack(partial, target)
    finally:
        partial.unlink()


def _append(http: httpx.Client, checkpoint: Mapping[str, Any], partial: Path) -> None:
    """Brings `partial` to its full length: what is there already is not fetched again, unless it is too much."""
    have = partial.stat().st_size if partial.exists() else 0
    if have == checkpoint["bytes"]:
        return
    headers = {}
    if 0 < have < checkpoint["bytes"]:
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{checkpoint["sha256"]}"'}
    with http.stream("GET", checkpoint["url"], headers=headers) as response:
        raise_for_problem(response)
        goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
        with partial.open("ab" if goes_on else "wb") as file:
            for piece in response.iter_bytes():
                file.write(piece)


def _unpack(archive: Path, target: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as fresh:
        try:
            with tarfile.open(archive, mode="r:") as tar:  # not compressed: a small file could become a huge one
                _check_size(tar, archive)
                tar.extractall(fresh, filter="data")  # refuses links and paths that lead out of the folder
        except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
            raise ServiceError(f"{archive.name} is no archive that can be unpacked safely: {error}") from error
        if not Path(fresh, target.name).is_dir():
            raise ServiceError(f"{archive.name} holds no folder {target.name}")
        write_list(Path(fresh, target.name))
        if target.exists():
            shutil.rmtree(target)
        os.replace(Path(fresh, target.name), target)
    return target


def _check_size(tar: tarfile.TarFile, archive: Path) -> None:
    """Return where what is in `tar` takes no more space than `archive` itself: files may be stored with holes.

    Raises:
        ValueError: it would take more.
    """
    claimed = sum(member.size for member in tar.getmembers())
    if claimed > archive.stat().st_size:
        raise ValueError(f"its files would take {claimed} bytes, more than the whole archive")
