"""Jobs: submit, look, cancel, resume, and their findings."""

import logging
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool

from server.artefacts.artefact_store import POLICY_FILE, REPORT_FILES
from server.auth.caller import Caller
from server.http.authorization import CallerDep
from server.http.dependencies import Services, ServicesDep
from server.http.problems import documented
from server.http.views import Candidates, JobPage, JobView
from server.jobs.admission import admit
from server.jobs.candidates import pareto_set
from server.jobs.job_state import Job, JobState
from server.service_errors import MissingArtefactError
from server.stores.schema import MOST_INTEGER
from server.uploads.references import located
from shrinkml.job import JobSpec, resolved

log = logging.getLogger(__name__)
# Asked for more often than all others together, `submit` and `show` go to a thread once; FastAPI would check what a
# function that is not async returns in a second one.
router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MOST_PER_PAGE = 200
MOST_URGENT = 100
# A report is a page with scripts of its own: it may neither load nor send anything, nor speak for this server.
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'none'"
)
MEDIA_TYPES = {"json": "application/json", "html": "text/html"}


@router.post("", status_code=202, responses=documented(400, 403, 408, 409, 411, 413, 429, 503, 507))
async def submit(
    spec: JobSpec,
    response: Response,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="The same key and job again give the job that is there."),
    ] = None,
    priority: Annotated[
        int, Query(ge=-MOST_URGENT, le=MOST_URGENT, description="Of the owner's jobs that wait the highest is next.")
    ] = 0,
) -> JobView:
    """Queue a compression job and return at once."""
    if idempotency_key is None:  # a crowd that is refused shares what it is refused for
        await services.reads.get(("room", caller), partial(_check_room, services, caller))
    job = await run_in_threadpool(_submitted, spec, services, caller, idempotency_key, priority)
    view = JobView.of(job)
    response.headers["Location"] = view.links["self"]
    return view


def _check_room(services: Services, caller: Caller) -> None:
    most = services.rules.limits.jobs_waiting
    services.store.check_room(most, owner=caller.owner, max_owned=caller.max_jobs)


def _submitted(spec: JobSpec, services: Services, caller: Caller, idempotency_key: str | None, priority: int) -> Job:
    """Return the caller's job that came before with the same key, or a new one."""
    if idempotency_key is not None:
        absolute = resolved(spec, services.rules.data_roots[0])
        if job := services.store.submitted(absolute, idempotency_key=idempotency_key, owner=caller.owner):
            return job
        _check_room(services, caller)
    return _admitted(spec, services, caller, idempotency_key, priority)


def _admitted(spec: JobSpec, services: Services, caller: Caller, idempotency_key: str | None, priority: int) -> Job:
    """Return the job, admitted and queued: what costs little is asked first."""
    rules, store = services.rules, services.store
    services.check_space()
    with services.admissions.passed("have their jobs checked"):
        locate = partial(located, uploads=services.uploads, owner=caller.sees_only)
        admitted = admit(spec, rules.data_roots, limits=rules.limits, allow_hub=rules.allow_hub, locate=locate)
    job, _ = store.submit(
        admitted,
        max_queued=rules.limits.jobs_waiting,
        idempotency_key=idempotency_key,
        owner=caller.owner,
        max_owned=caller.max_jobs,
        priority=priority,
    )
    goal = job.spec.goal.compression_ratio
    log.info("job %s submitted: %s, %g times smaller", job.id, job.spec.model, goal, extra={"job_id": job.id})
    return job


@router.get("")
def list_jobs(
    services: ServicesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Jobs per page.")] = 50,
    before: Annotated[int | None, Query(ge=1, le=MOST_INTEGER, description="From `next` of the page before.")] = None,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
) -> JobPage:
    """The jobs that the caller may see, the newest first."""
    jobs = services.store.page(limit=limit + 1, before=before, state=state, owner=caller.sees_only)
    shown, more = jobs[:limit], len(jobs) > limit
    chosen = f"&state={state}" if state else ""
    following = f"/v1/jobs?limit={limit}&before={shown[-1].number}{chosen}" if more else None
    return JobPage(items=[JobView.of(job) for job in shown], next=following)


@router.get("/{job_id}", responses=documented(404))
async def show(job_id: str, services: ServicesDep) -> JobView:
    """One job: its state, stage and progress, and why it failed if it did."""
    return JobView.of(await run_in_threadpool(services.store.get, job_id))


@router.post("/{job_id}/cancel", status_code=202, responses=documented(404, 409))
def cancel(job_id: str, services: ServicesDep) -> JobView:
    """Stop a job within seconds; what it found so far is kept, and it can be resumed."""
    return JobView.of(services.store.cancel(job_id))


@router.post("/{job_id}/resume", status_code=202, responses=documented(404, 409, 429, 503))
def resume(job_id: str, services: ServicesDep, caller: CallerDep) -> JobView:
    """Queue a failed or cancelled job again: it goes on from its last finished stage."""
    most = services.rules.limits.jobs_waiting
    job = services.store.resume(job_id, max_queued=most, max_owned=caller.max_jobs)
    return JobView.of(job)


@router.delete("/{job_id}", status_code=204, response_class=Response, responses=documented(404, 409))
def delete(job_id: str, services: ServicesDep) -> None:
    """Forget a job that has ended, and remove everything that it left on the server."""
    services.store.delete(job_id, partial(services.clear, job_id))


@router.get("/{job_id}/candidates", responses=documented(404))
def candidates(job_id: str, services: ServicesDep) -> Candidates:
    """The judged plans that no other one beats in both WER and size; grows while the job runs."""
    services.store.get(job_id)
    return Candidates.of(pareto_set(services.store.events(job_id, kind="evaluated")))


@router.get(
    "/{job_id}/report",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/html": {}}}, **documented(404)},
)
def report(
    job_id: str,
    services: ServicesDep,
    format: Annotated[str, Query(pattern="^(json|html)$", description="json or html")] = "json",
) -> Response:
    """The findings of the job: figures as JSON, or a page with pictures that needs no network."""
    job = services.store.get(job_id)
    remedy = "resume it to go on" if job.state.ended else "wait until it has ended"
    return _file_of(
        job, REPORT_FILES[format], services, media_type=MEDIA_TYPES[format], missing=f"has no report; {remedy}"
    )


@router.get(
    "/{job_id}/policy",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}, **documented(404)},
)
def policy(job_id: str, services: ServicesDep) -> Response:
    """The policy that the searches of a job with the strategy dyna have learned, for another job's `search.policy`."""
    job = services.store.get(job_id)
    missing = "has no policy; only the strategy dyna leaves one, when a search has ended"
    return _file_of(job, POLICY_FILE, services, media_type="application/json", missing=missing)


def _file_of(job: Job, name: str, services: ServicesDep, *, media_type: str, missing: str) -> Response:
    try:
        artefact = services.artefacts.find(job.id, name)
    except MissingArtefactError:
        raise MissingArtefactError(f"job {job.id} is {job.state} and {missing}") from None
    with services.artefacts.open(job.id, artefact) as stream:
        return Response(stream.read(), media_type=media_type, headers={"Content-Security-Policy": REPORT_POLICY})
