"""Services that the routes work with, handed to them by the application."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from server.artefacts.artefact_store import ArtefactStore
from server.stores.job_store import JobStore


class WorkerHealth(Protocol):
    """The server's knowledge of its worker."""

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        ...

    @property
    def restarts(self) -> int:
        """The number of times that it was started again."""
        ...


@dataclass(frozen=True, slots=True)
class SubmissionRules:
    """The operator's rules for jobs.

    Attributes:
        data_roots: folders that jobs may read; relative paths in a job start at the first one.
        max_queued: number of jobs that may wait.
        allow_hub: True where jobs may name models of the Hugging Face hub.
    """

    data_roots: tuple[Path, ...]
    max_queued: int
    allow_hub: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need.

    Attributes:
        store: the jobs.
        artefacts: the files that they leave.
        rules: for new jobs.
        worker: its health.
        stopping: tells that the server is about to stop: open event streams end then.
    """

    store: JobStore
    artefacts: ArtefactStore
    rules: SubmissionRules
    worker: WorkerHealth
    stopping: Callable[[], bool]


def services(request: Request) -> Services:
    """Return the services of the application that answers `request`."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
