"""The service itself: its models, its health, its version."""

from fastapi import APIRouter

import shrinkml
from server.http.dependencies import ServicesDep
from server.http.views import Health, Models, ModelView, Version
from server.jobs.model_facts import bundled_models

router = APIRouter(tags=["service"])


@router.get("/v1/models")
def models() -> Models:
    """The models that come with the server; a job may also name the folder of any checkpoint."""
    return Models(items=[ModelView.of(facts) for facts in bundled_models()])


@router.get("/healthz")
def health(services: ServicesDep) -> Health:
    """The health of the server: it answers, its database too, and its worker lives."""
    services.store.page(limit=1)
    pid = services.worker.pid
    return Health(
        status="ok" if pid is not None else "degraded", worker_pid=pid, worker_restarts=services.worker.restarts
    )


@router.get("/v1/version")
def version() -> Version:
    """The versions that run."""
    return Version(shrinkml=shrinkml.__version__, api="v1")
