"""HTTP range and conditional requests (RFC 9110, sections 13 and 14) on files with a strong ETag."""

import logging
import re
from collections.abc import Iterator
from typing import BinaryIO

from server.service_errors import RangeError

CHUNK_BYTES = 1 << 18
log = logging.getLogger(__name__)
_SINGLE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte that `header` asks for; None for all but one range, which a server may ignore.

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
    """Return True where an If-None-Match `header` names `etag` (weak comparison, as section 13.1.2 asks for)."""
    named = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in named or "*" in named


def read_bytes(stream: BinaryIO, start: int, end: int, *, name: str) -> Iterator[bytes]:
    """Yield the bytes of `stream` from `start` to `end`, both included, in pieces, and close it.

    A download that breaks off is logged under `name`.
    """
    left = end - start + 1
    with stream:
        try:
            stream.seek(start)
            while left and (piece := stream.read(min(CHUNK_BYTES, left))):
                left -= len(piece)
                yield piece
        finally:
            if left:
                log.warning("download of %s broke off %d bytes before the end", name, left)
