"""The server process: HTTP in front, a worker beside it, both ended together."""

import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from server.home import database_url, sole_user, worker_log
from server.http.app import create_app
from server.http.dependencies import Services
from server.settings import Settings
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.worker.job_queue import JobQueue
from server.worker.supervisor import Supervisor

GRACE_S = 3  # for requests under way when the server stops
WORKER_MODULE = "server.worker.work"


def serve(settings: Settings, *, on_ready: Callable[[str], None], worker: Sequence[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM; a job under way goes on at the next start.

    Args:
        settings: the operator's choices.
        on_ready: hears the URL once requests are answered.
        worker: the command of the worker process; Python's own worker module unless given.

    Raises:
        HomeInUseError: another server works in this home.
        OSError: the address cannot be had.
    """
    # uvicorn raises the signal that ended it once more; SIGTERM would end us before the worker.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = ["--allow-hub"] if settings.allow_hub else []
    command = worker or (sys.executable, "-m", WORKER_MODULE, str(settings.home), *options)
    with sole_user(settings.home, "server"), _listening(settings) as listener:
        engine = connect(database_url(settings.home))
        queue = JobQueue(engine)
        supervisor = Supervisor(command, worker_log(settings.home))
        services = Services(settings, SqlJobStore(engine, queue.put), supervisor, stopping=lambda: server.should_exit)
        config = uvicorn.Config(
            create_app(services), log_level=logging.WARNING, timeout_graceful_shutdown=GRACE_S, lifespan="off"
        )
        server = uvicorn.Server(config)
        supervisor.start()
        try:
            with suppress(KeyboardInterrupt):
                on_ready("http://{}:{}".format(*listener.getsockname()[:2]))
                server.run(sockets=[listener])
        finally:
            supervisor.stop()
            queue.close()


def _listening(settings: Settings) -> socket.socket:
    """A socket bound before anything else starts: a port in use is found out at once."""
    return socket.create_server((settings.host, settings.port))
