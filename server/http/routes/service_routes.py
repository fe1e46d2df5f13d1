"""The service itself: what it offers, and whether it is well."""

from fastapi import APIRouter

import shrinkml
from server.artefacts.model_view import bundled_models
from server.http.dependencies import ServicesDep
from server.http.views import Health, Models, Version

router = APIRouter(tags=["service"])


@router.get("/v1/models")
def models() -> Models:
    """The models that come with the server; a job may also name the folder of any checkpoint."""
    return Models(items=bundled_models())


@router.get("/healthz")
def health(services: ServicesDep) -> Health:
    """Whether the server answers, its database too, and its worker lives."""
    services.store.page(limit=1)
    pid = services.worker.pid
    return Health(
        status="ok" if pid is not None else "degraded", worker_pid=pid, worker_restarts=services.worker.restarts
    )


@router.get("/v1/version")
def version() -> Version:
    """What is running."""
    return Version(shrinkml=shrinkml.__version__, api="v1")
