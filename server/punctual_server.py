"""An HTTP server that is gone in time once it is told to stop, whatever still hangs."""

import logging
import os
import socket
import threading
from collections.abc import Callable

import uvicorn

log = logging.getLogger(__name__)


class PunctualServer(uvicorn.Server):
    """uvicorn's server, with an end: a request that hangs in a thread would keep the process alive with it."""

    def __init__(self, config: uvicorn.Config, *, on_stop: Callable[[], None], leave_s: float) -> None:
        """Serve as `config` says.

        Args:
            config: of uvicorn.
            on_stop: called as soon as the server is told to stop, before it waits for requests under way.
            leave_s: seconds from then on until the process is ended where it has not ended by itself.
        """
        super().__init__(config)
        self._on_stop = on_stop
        self._leave_s = leave_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to serve."""
        self._on_stop()
        deadline = threading.Timer(self._leave_s, self._leave)
        deadline.daemon = True
        deadline.start()
        await super().shutdown(sockets)

    def _leave(self) -> None:
        log.error("a request hangs; the server ends without it, %g s after it was told to", self._leave_s)
        os._exit(1)  # threads cannot be ended
