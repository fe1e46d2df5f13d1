"""Files that users name, read only where they are regular: a pipe would be waited for, a device never ends."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, *, most_bytes: int | None = None, first_bytes: int | None = None) -> bytes:
    """Return the content of the regular file `path`.

    Args:
        path: followed where it is a link.
        most_bytes: that it may hold.
        first_bytes: read no more than these.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than allowed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without it, a pipe waits for somebody to write
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no regular file, but a pipe, a socket or a device", str(path))
        if most_bytes is not None and found.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes, and at most {most_bytes} are allowed", str(path))
        return file.read(-1 if first_bytes is None else first_bytes)
