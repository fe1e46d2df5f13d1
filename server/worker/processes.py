"""Whole families of processes, ended without leftovers (Linux; elsewhere only the processes that are known)."""

import ctypes
import os
import signal
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from agents.execution.ray.ray_guard import STALE_S, remove_stale

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MOURNING_S = 30.0  # until somebody else buries a process


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


class OrphanReaper:
    """Buries the dead that nobody waits for: what the children of this process left, which became its own.

    Who started a process waits for it within moments; who has been dead for longer was started by somebody else.
    """

    def __init__(self) -> None:
        """Nobody is known to be dead."""
        self._dead_since: dict[int, float] = {}

    def look(self, now: float) -> None:
        """Bury those that have been dead since `now` - MOURNING_S seconds, by the caller's clock."""
        dead = _dead_children()
        self._dead_since = {pid: self._dead_since.get(pid, now) for pid in dead}
        for pid, since in self._dead_since.items():
            if now - since >= MOURNING_S:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def _dead_children() -> list[int]:
    """The children of this process that have ended and were not waited for (zombies)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def end_family() -> None:
    """End every process below this one, and remove the files of Ray that belonged to them."""
    end_descendants()
    remove_stale(Path(tempfile.gettempdir()), older_than_s=STALE_S)


def end_descendants() -> None:
    """Kills every process below this one and waits for those that are its own children."""
    while alive := descendants(os.getpid()):
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in alive:
            with suppress(ChildProcessError):  # not our child, or waited for elsewhere
                os.waitpid(pid, 0)
