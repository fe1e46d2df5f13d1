"""Services that the routes work with, handed to them by the application."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from server.artefacts.artefact_store import ArtefactStore
from server.auth.request_rates import RequestRates
from server.auth.token_store import TokenStore
from server.http.shared_reads import SharedReads
from server.http.turnstile import Turnstile
from server.limits import DEFAULT_LIMITS, Limits
from server.log_context import JOB_ID
from server.stores.job_store import JobStore
from server.uploads.uploads import Uploads
from server.webhooks.sql_endpoints import SqlEndpoints
from server.webhooks.targets import Targets


class WorkerHealth(Protocol):
    """The server's knowledge of its worker."""

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        ...

    @property
    def silent_s(self) -> float | None:
        """Seconds since its last sign of life; None while it is starting."""
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
        limits: on them and on requests.
        allow_hub: True where jobs may name models of the Hugging Face hub.
    """

    data_roots: tuple[Path, ...]
    limits: Limits = DEFAULT_LIMITS
    allow_hub: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need.

    Attributes:
        store: the jobs.
        artefacts: the files that they leave.
        uploads: models and data sets that were sent here.
        tokens: of those who may ask; while there never was one, everybody may.
        webhooks: the addresses that are told of jobs.
        rules: for new jobs.
        worker: the health of the server's own; None where only others run jobs.
        stopping: tells that the server is about to stop: open event streams end then.
        check_home: raises HomeLostError where what is kept would be lost.
        check_space: raises DiskFullError where too little space is free for another job.
        clear_stages: removes what the pipeline of a job has written.
        targets: tells which addresses webhooks may reach.
        admissions: bounds the jobs that are checked at once.
        streams: bounds the event streams that are open at once.
        rates: bounds the requests that come with one token.
        reads: makes what many clients wait for at the same moment once for all of them.
    """

    store: JobStore
    artefacts: ArtefactStore
    uploads: Uploads
    tokens: TokenStore
    webhooks: SqlEndpoints
    rules: SubmissionRules
    worker: WorkerHealth | None
    stopping: Callable[[], bool]
    check_home: Callable[[], None] = lambda: None
    check_space: Callable[[], None] = lambda: None
    clear_stages: Callable[[str], None] = lambda job_id: None
    targets: Targets = field(default_factory=Targets)
    admissions: Turnstile = field(default_factory=lambda: Turnstile(DEFAULT_LIMITS.admissions))
    streams: Turnstile = field(default_factory=lambda: Turnstile(DEFAULT_LIMITS.streams))
    rates: RequestRates = field(default_factory=lambda: RequestRates(DEFAULT_LIMITS.requests_per_minute))
    reads: SharedReads = field(default_factory=SharedReads)

    def clear(self, job_id: str) -> None:
        """Remove the files of the job."""
        self.artefacts.clear(job_id)
        self.clear_stages(job_id)


async def services(request: Request) -> Services:
    """Return the services of the application that answers `request`.

    Raises:
        HomeLostError: what they would keep is lost.
    """
    JOB_ID.set(request.path_params.get("job_id"))  # what is logged on the way is about it
    found: Services = request.app.state.services
    found.check_home()
    return found


ServicesDep = Annotated[Services, Depends(services)]
