"""What the routes work with, handed to them by the application."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from server.settings import Settings
from server.stores.job_store import JobStore


class WorkerHealth(Protocol):
    """What the server knows of its worker."""

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need.

    Attributes:
        settings: the operator's choices.
        store: the jobs.
        worker: whether it lives.
        stopping: whether the server is about to stop: open event streams end then.
    """

    settings: Settings
    store: JobStore
    worker: WorkerHealth
    stopping: Callable[[], bool]

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.settings.home


def services(request: Request) -> Services:
    """The services of the application that answers `request`."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
