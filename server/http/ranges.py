"""HTTP range and conditional requests (RFC 9110, sections 13 and 14) on files with a strong ETag."""

import re
from collections.abc import Iterator
from pathlib import Path

from server.service_errors import RangeError

CHUNK_BYTES = 1 << 18
_SINGLE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte that `header` asks for; None for anything but one range, which a server may ignore.

    Raises:
        RangeError: the range begins behind the end of the file.
    """
    match = _SINGLE.fullmatch(header.replace(" ", ""))
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(size - int(suffix), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or suffix == "0":
        raise RangeError(f"{header!r} lies outside the file, whose bytes are 0-{size - 1}; ask for a part of it", size)
    return start, end


def matches(header: str, etag: str) -> bool:
    """Whether an If-None-Match `header` names `etag` (weak comparison, as section 13.1.2 asks for)."""
    named = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in named or "*" in named


def read_bytes(path: Path, start: int, end: int) -> Iterator[bytes]:
    """The file's bytes from `start` to `end`, both included, in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        left = end - start + 1
        while left and (piece := file.read(min(CHUNK_BYTES, left))):
            left -= len(piece)
            yield piece
