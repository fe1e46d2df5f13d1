"""Large tensors in pages of their own, which the system has again as soon as they are freed.

By default the C library puts tensors of up to 32 MB side by side on its heap, and keeps the holes that they leave: more
than a gigabyte of them while a large model hears one utterance.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

LARGE_BYTES = 2**20
MMAP_THRESHOLD = -3  # of glibc's mallopt (malloc.h)
USUAL_BYTES = 32 * 2**20  # where glibc's threshold ends, once tensors of that size were freed

_C = ctypes.CDLL(None)


@contextmanager
def large_tensors_apart() -> Iterator[None]:
    """Gives tensors from LARGE_BYTES on pages of their own; without effect where the C library is not glibc.

    It takes time to be given pages: for work on large tensors, which takes longer.
    """
    if not hasattr(_C, "mallopt"):
        yield
        return
    _C.mallopt(MMAP_THRESHOLD, LARGE_BYTES)
    try:
        yield
    finally:
        _C.mallopt(MMAP_THRESHOLD, USUAL_BYTES)
