"""Keep a worker process running for as long as the server runs."""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.worker.heartbeat import Pulse
from server.worker.processes import adopt_orphans, end_family

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
HEALTHY_S = 60.0  # a worker that lived so long is started again without delay
STOP_WAIT_S = 5.0
LOOK_S = 0.1  # between two looks at the worker
log = logging.getLogger(__name__)


class Supervisor:
    """Starts the worker, starts it again when it dies, and ends it with all its children.

    The worker's standard input is a pipe that only this process holds open: it closes with us, even when we are killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        pulse: Path,
        *,
        environment: Mapping[str, str] | None = None,
        silence_s: float = 60.0,
    ) -> None:
        """A supervisor that has started nothing yet.

        Args:
            command: starts the worker.
            log_file: receives all that it prints.
            pulse: file that it touches while it lives; once it has begun to, it is replaced after `silence_s` without.
            environment: of the worker, beside that of this process.
            silence_s: see `pulse`.
        """
        self._command = command
        self._environment = {**(environment or {}), "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
        self._log_file = log_file
        self._pulse = Pulse(pulse)
        self._silence_s = silence_s
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def silent_s(self) -> float | None:
        """Seconds since the worker's last sign of life; None while there is none, or it is starting."""
        return None if self.pid is None else self._pulse.silent_s

    def start(self) -> None:
        """Start the worker; orphans of this process's children are its own from now on."""
        adopt_orphans()
        self._thread.start()

    def dismiss(self) -> None:
        """Have the worker end, and return at once; `stop` waits for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End the worker and everything that it started."""
        self.dismiss()
        self._thread.join()
        end_family()
        log.info("stopped the worker")

    def _watch(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                code: int | str = self._run_once()
            except OSError as error:  # its log cannot be opened, or no process started
                code = str(error)
            if self._stopping.is_set():
                return
            if time.monotonic() - started > HEALTHY_S:
                delay_s = FIRST_DELAY_S
            log.warning(
                "the worker ended with code %s; starting it again in %.1f s (see %s)", code, delay_s, self._log_file
            )
            self.restarts += 1
            self._stopping.wait(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _run_once(self) -> int:
        """Return the exit code of one worker, once it has ended and its children with it."""
        environment = {**os.environ, **self._environment}
        self._pulse.reset()
        with self._log_file.open("ab") as output:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, process_group=0
            )
        self._process = process
        log.info("started the worker, process %d", process.pid)
        while process.poll() is None and not self._stopping.wait(LOOK_S):
            if (self._pulse.silent_s or 0.0) > self._silence_s:
                log.error("the worker gave no sign of life for %g s and is replaced", self._silence_s)
                process.kill()
        assert process.stdin is not None
        process.stdin.close()
        try:
            code = process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        end_family()
        return code
