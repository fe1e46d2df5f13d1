"""The dashboard's files over HTTP. What it shows, it asks the public API for, as any other client does."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

# The description of the API lists what programs ask for, and these are pages.
router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).with_name("static")
PAGE = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FILES: Mapping[str, Path] = {path.name: path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}
HEADERS = {
    # Scripts and styles are files of ours, and nothing is sent anywhere else.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # the ETag tells browsers that theirs is still the file of this version
}


@router.get("/")
async def dashboard() -> FileResponse:
    """The page: its scripts make the views."""
    return _response(FILES[PAGE])


@router.get("/dashboard/{name}")
async def dashboard_file(name: str) -> FileResponse:
    """A script, a style or a picture of the page."""
    if name not in FILES:
        raise HTTPException(404)
    return _response(FILES[name])


def _response(path: Path) -> FileResponse:
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)
