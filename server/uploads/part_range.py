"""The place of a part in an archive: the header Content-Range of a request (RFC 9110, section 14.5).

It is what `curl --continue-at OFFSET --upload-file FILE` sends. Without it, a body is the whole.
"""

import re
from dataclasses import dataclass

from server.service_errors import TransitionError, UploadPartError

RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class PartRange:
    """The place that a part says it has.

    Attributes:
        header: Content-Range, where it came with one.
        length: bytes of the part.
    """

    header: str | None
    length: int

    def first_of(self, n_bytes: int, n_received: int) -> int:
        """Return the first byte of the part in an archive of `n_bytes`, of which `n_received` have come.

        A part may begin anywhere in these, and replaces what lies behind. An empty part begins where they end.

        Raises:
            UploadPartError: it does not fit the archive.
            TransitionError: bytes before it have not come.
        """
        first, last, total = self._told(n_bytes, n_received)
        if total != n_bytes or last >= n_bytes or last - first + 1 != self.length:
            raise UploadPartError(
                f"Content-Range is {self.header!r:.100} and the body has {self.length} bytes; allowed is "
                f"bytes FIRST-LAST/{n_bytes}, or no such header with all {n_bytes} bytes of the archive"
            )
        if first > n_received:
            raise TransitionError(
                f"the part begins at byte {first}, and {n_received} have come; go on with Content-Range: "
                f"bytes {n_received}-{n_bytes - 1}/{n_bytes}"
            )
        return first

    def _told(self, n_bytes: int, n_received: int) -> tuple[int, int, int]:
        """Return the first and the last byte of the part, and those of the whole archive."""
        if self.header is None:
            return (0, self.length - 1, self.length) if self.length else (n_received, n_received - 1, n_bytes)
        match = RANGE.fullmatch(self.header.strip())
        if match is None:
            raise UploadPartError(f"Content-Range is {self.header!r:.100}; allowed: bytes FIRST-LAST/{n_bytes}")
        first, last, total = map(int, match.groups())
        return first, last, total
