"""Memory that was freed, back to the system.

Tensors of many sizes leave holes in the C library's heap, which it keeps: a gigabyte of them once all layers of a large
model were decomposed.
"""

import ctypes

_C = ctypes.CDLL(None)


def give_back() -> None:
    """Lets the system have every page that nothing lies on; without effect where the C library is not glibc."""
    if hasattr(_C, "malloc_trim"):
        _C.malloc_trim(0)
