"""HTTP range and conditional requests (RFC 9110, sections 13 and 14) on files with a strong ETag."""

import logging
import re
from collections.abc import Iterator
from typing import BinaryIO

from server.service_errors import PreconditionError, RangeError

CHUNK_BYTES = 1 << 18
MOST_DIGITS = 18  # of a place in a file
log = logging.getLogger(__name__)
_SINGLE = re.compile(r"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")


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
        start, end = max(size - _number(suffix), 0), size - 1
    else:
        start, end = _number(first), min(_number(last), size - 1) if last else size - 1
        if last and _number(last) < start:
            return None
    if start >= size or (suffix is not None and not _number(suffix)):
        raise RangeError(
            f"{header!r:.80} lies outside the file, whose bytes are 0-{size - 1}; ask for a part of it", size
        )
    return start, end


def _number(digits: str) -> int:
    """Return the number that `digits` write; one beyond every file where there are very many of them."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= MOST_DIGITS else 10**MOST_DIGITS


def require_match(if_match: str | None, etag: str) -> None:
    """Return where the file with `etag` is one of those that an If-Match header names, or there is no such header.

    Raises:
        PreconditionError: it is not (strong comparison, as section 13.1.1 asks for).
    """
    if (
        if_match is not None
        and "*" not in (named := [tag.strip() for tag in if_match.split(",")])
        and etag not in named
    ):
        raise PreconditionError(f"the file is now {etag}, none of those that If-Match names; fetch it anew")


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
