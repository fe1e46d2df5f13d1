"""Jobs: submit, look, cancel, resume, and their findings."""

import logging
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from server.artefacts.artefact_store import POLICY_FILE, REPORT_FILES
from server.http.dependencies import ServicesDep
from server.http.problems import documented
from server.http.views import Candidates, JobPage, JobView
from server.jobs.admission import admit
from server.jobs.candidates import pareto_set
from server.jobs.job_state import Job, JobState
from server.service_errors import MissingArtefactError
from server.stores.schema import MOST_INTEGER
from shrinkml.job import JobSpec, resolved

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MOST_PER_PAGE = 200
MEDIA_TYPES = {"json": "application/json", "html": "text/html"}


@router.post("", status_code=202, responses=documented(400, 403, 409, 411, 413, 503))
def submit(
    spec: JobSpec,
    response: Response,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="The same key and job again give the job that is there."),
    ] = None,
) -> JobView:
    """Queue a compression job and return at once."""
    rules, store = services.rules, services.store
    job = None
    if idempotency_key is not None:  # asked before the data are checked: that takes its time
        job = store.submitted(resolved(spec, rules.data_roots[0]), idempotency_key=idempotency_key)
    if job is None:
        job, _ = store.submit(
            admit(spec, rules.data_roots, allow_hub=rules.allow_hub),
            max_queued=rules.max_queued,
            idempotency_key=idempotency_key,
        )
        log.info("job %s submitted: %s, %g times smaller", job.id, job.spec.model, job.spec.goal.compression_ratio)
    view = JobView.of(job)
    response.headers["Location"] = view.links["self"]
    return view


@router.get("")
def list_jobs(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Jobs per page.")] = 50,
    before: Annotated[int | None, Query(ge=1, le=MOST_INTEGER, description="From `next` of the page before.")] = None,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
) -> JobPage:
    """The jobs of this server, the newest first."""
    jobs = services.store.page(limit=limit + 1, before=before, state=state)
    shown, more = jobs[:limit], len(jobs) > limit
    chosen = f"&state={state}" if state else ""
    following = f"/v1/jobs?limit={limit}&before={shown[-1].number}{chosen}" if more else None
    return JobPage(items=[JobView.of(job) for job in shown], next=following)


@router.get("/{job_id}", responses=documented(404))
def show(job_id: str, services: ServicesDep) -> JobView:
    """One job: its state, stage and progress, and why it failed if it did."""
    return JobView.of(services.store.get(job_id))


@router.post("/{job_id}/cancel", status_code=202, responses=documented(404, 409))
def cancel(job_id: str, services: ServicesDep) -> JobView:
    """Stop a job within seconds; what it found so far is kept, and it can be resumed."""
    return JobView.of(services.store.cancel(job_id))


@router.post("/{job_id}/resume", status_code=202, responses=documented(404, 409, 503))
def resume(job_id: str, services: ServicesDep) -> JobView:
    """Queue a failed or cancelled job again: it goes on from its last finished stage."""
    job = services.store.resume(job_id, max_queued=services.rules.max_queued)
    return JobView.of(job)


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
        return Response(stream.read(), media_type=media_type)
