"""Real memory of this process, as the system counts it."""

import ctypes
from pathlib import Path

from shrinkml.freed_memory import give_back_memory


def test_memory_that_was_freed_in_small_pieces_is_given_back():
    pieces = [ctypes.create_string_buffer(b"x" * 100_000) for _ in range(3_000)]  # too small to be mapped by themselves
    kept, held_kb = pieces[::50], resident_kb()  # what is kept lies between them
    del pieces
    give_back_memory()
    assert len(kept) == 60
    assert resident_kb() < held_kb - 200_000


def resident_kb():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
