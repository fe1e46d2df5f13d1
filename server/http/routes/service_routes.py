"""The service itself: its version, its description for people."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

import shrinkml
from server.http.described import described
from server.http.views import Version

router = APIRouter(tags=["service"])  # open to all: it tells nothing of jobs
facts = APIRouter(prefix="/v1", tags=["service"])

STATIC = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"  # of a page without scripts


@facts.get("/version")
async def version() -> Version:
    """The versions that run."""
    return Version(shrinkml=shrinkml.__version__, api="v1")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The description of the API as a page: it loads nothing, from nowhere."""
    return HTMLResponse(described(request.app.openapi()), headers={"Content-Security-Policy": STATIC})
