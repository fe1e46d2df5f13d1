"""Whole families of processes, ended without leftovers (Linux; elsewhere only the processes that are known)."""

import ctypes
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """From now on, what a dying child of this process leaves behind becomes this process's own child."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, children before grandchildren."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended since the listing
            # The command's name stands in parentheses and may hold any character; the parent's id is the second after.
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found.extend(children[parent])
    return found[1:]


def end_descendants() -> None:
    """Kills every process below this one and waits for those that are its own children."""
    while alive := descendants(os.getpid()):
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in alive:
            with suppress(ChildProcessError):  # not our child, or waited for elsewhere
                os.waitpid(pid, 0)
