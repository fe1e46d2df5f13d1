"""Checkpoints to download, in parts if the client likes."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.checkpoint_tar import find_checkpoint
from server.http.dependencies import ServicesDep
from server.http.problems import documented
from server.http.ranges import matches, parse_range, read_bytes, require_match
from server.http.views import Checkpoints, CheckpointView

router = APIRouter(prefix="/v1/jobs", tags=["checkpoints"])

TAR = "application/x-tar"


@router.get("/{job_id}/checkpoints", responses=documented(404))
def list_checkpoints(job_id: str, services: ServicesDep) -> Checkpoints:
    """The checkpoints of a job that has ended, however it ended."""
    job = services.store.get(job_id)
    found = services.artefacts.entries(job.id, ArtefactKind.CHECKPOINT)
    return Checkpoints(items=[CheckpointView.of(job.id, artefact) for artefact in found])


@router.get(
    "/{job_id}/checkpoints/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"content": {TAR: {}}},
        206: {"description": "The part asked for.", "content": {TAR: {}}},
        304: {"description": "The client has it already."},
        **documented(404, 412, 416),
    },
)
def download(
    job_id: str,
    name: str,
    request: Request,
    services: ServicesDep,
    range: Annotated[str | None, Header(description="bytes=first-last")] = None,
    if_range: Annotated[str | None, Header(description="The range counts only for the file with this ETag.")] = None,
    if_match: Annotated[str | None, Header(description="ETags of the file that is wanted, and no other.")] = None,
    if_none_match: Annotated[str | None, Header(description="ETags that the client has.")] = None,
) -> Response:
    """One checkpoint as a tar file. The ETag is the sha256 of the whole file."""
    job = services.store.get(job_id)
    artefact = find_checkpoint(services.artefacts, job.id, name)
    etag = f'"{artefact.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{artefact.name}"',
    }
    require_match(if_match, etag)
    if if_none_match is not None and matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    part = None if range is None or if_range not in (None, etag) else parse_range(range, artefact.bytes)
    start, end = part or (0, artefact.bytes - 1)
    headers["Content-Length"] = str(end - start + 1)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end}/{artefact.bytes}"
    status = 200 if part is None else 206
    stream = services.artefacts.open(job.id, artefact)  # before the answer begins: it may have been replaced just now
    if request.method == "HEAD":
        stream.close()
        return Response(status_code=status, headers=headers, media_type=TAR)
    body = read_bytes(stream, start, end, name=f"{artefact.name} of job {job.id}")
    return StreamingResponse(body, status, headers=headers, media_type=TAR)
