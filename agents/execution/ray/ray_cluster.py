"""Ray itself: how it is started on this machine or found on others, and what it may use."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from agents.execution.ray.ray_guard import guarded_folder

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 200 * 2**20  # little more than Ray's minimum; what does not fit lies on the disk meanwhile

RAY_SETTINGS = {  # read by Ray at its start and in every run
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # not 60: without its head Ray cannot go on, and the driver ends
    "RAY_worker_niceness": "0",  # not 15: searching is what the machine is asked to do
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints even when it is told to be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results come through the callback; nothing reads Tune's files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C belongs to whoever started us
}
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


class RayCluster:
    """A Ray of this process's own, or a running one that it joins."""

    def __init__(self, workers: int, *, address: str | None, on_gpu: bool) -> None:
        """A cluster that is not started yet.

        Args:
            workers: CPUs of a Ray of its own.
            address: of a running cluster that this machine belongs to; None starts one on this machine.
            on_gpu: whether a Ray of its own has the machine's GPU.
        """
        self._workers = workers
        self._address = address
        self._on_gpu = on_gpu
        self._started = ExitStack()  # of what must be ended
        self._folder: Path | None = None

    def start(self) -> Path:
        """Start Ray unless it runs; returns a folder of this machine for its files, gone when the cluster is closed."""
        if self._folder is None:
            self._folder = self._init()
            log.info("Ray runs at %s", self._address or "this machine")
        return self._folder

    def close(self) -> None:
        """End every process that was started."""
        self._folder = None
        self._started.close()

    def _init(self) -> Path:
        settings: dict[str, Any] = {"address": self._address}
        if self._address is None:
            folder = self._started.enter_context(guarded_folder())
            settings = {
                "address": "local",
                "num_cpus": self._workers,
                "num_gpus": int(self._on_gpu),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": str(folder),
            }
        else:
            folder = Path(self._started.enter_context(tempfile.TemporaryDirectory(prefix="shrink-tune-")))
        self._started.callback(ray.shutdown)
        ray.init(
            **settings,
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        return folder


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set to `settings`; as they were afterwards."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
