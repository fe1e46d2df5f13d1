"""Checks, made before a job's work, that Ray can be had for its searches: they take seconds, a search in vain hours."""

import os
import socket
import tempfile
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from agents.execution.ray.ray_guard import PREFIX
from shrinkml.errors import ConfigError

PATIENCE_S = 5.0  # for a cluster to take a connection
LONGEST_SOCKET = 107  # bytes of the path of a socket, on Linux
RANDOM_LETTERS = 8  # that `tempfile` puts behind a prefix
SOCKET = "sockets/plasma_store"
REMEDY = "start the cluster (`ray start`), name another, or unset RAY_ADDRESS to search on this machine alone"


def check_reach(address: str | None) -> None:
    """Check that a Ray can be started here, or joined at `address`.

    Args:
        address: of a running cluster, as RAY_ADDRESS names it; None starts one on this machine.

    Raises:
        ConfigError: nothing listens there, or temporary files lie so deep that Ray's sockets get no names.
    """
    if address is None:
        _check_room_for_names(Path(tempfile.gettempdir()).resolve())
    elif address != "local":
        _check_listening(address, _last_started() if address == "auto" else address)


def _check_room_for_names(folder: Path) -> None:
    session = f"session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{os.getpid()}"
    path = folder / f"{PREFIX}{'x' * RANDOM_LETTERS}" / session / SOCKET
    over = len(os.fsencode(path)) - LONGEST_SOCKET
    if over > 0:
        raise ConfigError(
            f"temporary files lie in {folder} (TMPDIR), {over} bytes too deep for the sockets of Ray "
            f"({LONGEST_SOCKET} with their names); set TMPDIR to a shorter path, such as /tmp, or executor: local"
        )


def _check_listening(named: str, address: str | None) -> None:
    if address is None:
        raise ConfigError(f"RAY_ADDRESS is {named}, and no Ray runs on this machine; {REMEDY}")
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        place = parts.hostname or "", parts.port
    except ValueError:
        place = "", None
    if not place[0] or place[1] is None:
        raise ConfigError(f"RAY_ADDRESS is {named!r}; allowed: host:port of a Ray cluster, auto, or nothing at all")
    try:
        socket.create_connection(place, timeout=PATIENCE_S).close()
    except OSError as error:
        raise ConfigError(f"RAY_ADDRESS is {named}, where no Ray cluster answers ({error}); {REMEDY}") from error


def _last_started() -> str | None:
    """The address of the Ray that was started last on this machine, if there is one."""
    from ray._private.services import find_bootstrap_address  # what `auto` asks, too

    found: str | None = find_bootstrap_address(None)
    return found
