"""The service itself: its models, its health, its version, its description for people."""

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

import shrinkml
from server.http.dependencies import ServicesDep, WorkerHealth
from server.http.described import described
from server.http.views import Health, Models, ModelView, Version
from server.jobs.model_facts import bundled_models

router = APIRouter(tags=["service"])  # open to all: it tells nothing of jobs
facts = APIRouter(prefix="/v1", tags=["service"])

SILENT_S = 10.0  # without a sign of life, of which a worker gives one each second
STATIC = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"  # of a page without scripts


@facts.get("/models")
def models() -> Models:
    """The models that come with the server; a job may also name the folder of any checkpoint."""
    return Models(items=[ModelView.of(facts) for facts in bundled_models()])


@router.get("/healthz", responses={503: {"model": Health}})
async def health(services: ServicesDep, response: Response) -> Health:
    """The health of the server: it answers, its database too, and its worker lives. 503 where it is degraded."""
    own_thread = anyio.CapacityLimiter(1)  # those of the pool may all be busy
    await anyio.to_thread.run_sync(lambda: services.store.page(limit=1), limiter=own_thread)
    worker = services.worker
    why = _trouble(worker)
    response.status_code = 200 if why is None else 503
    return Health(
        status="ok" if why is None else "degraded",
        why=why,
        worker_pid=worker.pid,
        worker_silent_s=worker.silent_s,
        worker_restarts=worker.restarts,
    )


def _trouble(worker: WorkerHealth) -> str | None:
    if worker.pid is None:
        return "the worker is being started again"
    silent_s = worker.silent_s
    if silent_s is None:
        return "the worker is starting"
    return f"the worker gave no sign of life for {silent_s:.0f} s" if silent_s > SILENT_S else None


@facts.get("/version")
async def version() -> Version:
    """The versions that run."""
    return Version(shrinkml=shrinkml.__version__, api="v1")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The description of the API as a page: it loads nothing, from nowhere."""
    return HTMLResponse(described(request.app.openapi()), headers={"Content-Security-Policy": STATIC})
