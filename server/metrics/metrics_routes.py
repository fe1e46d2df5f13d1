"""The metrics over HTTP, in the form in which Prometheus asks for them."""

from typing import cast

import anyio
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """The metrics of the service for Prometheus: jobs, queue, evaluations, stages, worker and requests."""
    registry = cast(CollectorRegistry, request.app.state.metrics)
    return Response(await anyio.to_thread.run_sync(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)
