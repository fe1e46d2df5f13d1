"""Identities of processes, by which one that died is told from one that lives."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, told apart from a later one with the same number.

    Attributes:
        host: name of its machine (or container).
        pid: its number there.
        started: clock ticks from boot to its start; 0 where /proc does not tell.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def of_this_process(cls) -> "ProcessIdentity":
        """The calling process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _start_of(pid) or 0)

    @property
    def is_local(self) -> bool:
        """True where it belongs to this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Return True while it runs; only to be asked on its own machine. A zombie counts as dead."""
        if Path("/proc/self/stat").exists():
            return _start_of(self.pid) == self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _start_of(pid: int) -> int | None:
    """Start time of a running process from /proc/[pid]/stat (proc(5), fields 3 and 22); None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" else started
