"""Uploads of models and data sets: begin one, send its archive in parts, look, delete.

An archive is announced first, with its size and checksum, then sent to a path of its own by `PUT`: whole, or in parts
that say their place (Content-Range). What arrived before a cut is kept, and `received` tells where to go on. That is
what HTTP itself has for it, so curl and every HTTP library can do it; a protocol beside it (tus) would need a client.

References:
    RFC 9110, section 14.5 (partial PUT); RFC 9530, Digest Fields.
"""

from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect

from server.http.authorization import CallerDep
from server.http.dependencies import Services, ServicesDep
from server.http.problems import documented
from server.http.views import Datasets, Models, ModelView, UploadRequest, UploadView
from server.jobs.model_facts import bundled_models
from server.service_errors import RequestTimeoutError
from server.uploads.part_range import PartRange
from server.uploads.unused_uploads import require_unneeded
from server.uploads.upload_state import Upload, UploadKind

router = APIRouter()

GATHERED_BYTES = 1 << 20  # that are written at once
ANNOUNCED: dict[int | str, dict[str, Any]] = {
    200: {"description": "It was begun before: the upload as it stands.", "model": UploadView}
}
BODY = {"requestBody": {"content": {"application/octet-stream": {}}, "description": "Bytes of the archive."}}
ContentRange = Annotated[
    str | None, Header(description="bytes FIRST-LAST/TOTAL: the place of the body. Without it, the body is the whole.")
]
ContentDigest = Annotated[
    str | None, Header(description="sha-256=:BASE64: of the body, which is dropped where it arrives as another one.")
]


@router.get("/v1/models", tags=["models"])
def models(services: ServicesDep, caller: CallerDep) -> Models:
    """The models that a job may name: bundled and uploaded ones. It may also name the folder of any checkpoint."""
    uploads = _views(services, services.uploads.rows.all(kind=UploadKind.MODEL, owner=caller.sees_only))
    bundled = [ModelView.of(facts) for facts in bundled_models()]
    return Models(items=bundled + [view.model for view in uploads if view.model is not None], uploads=uploads)


@router.get("/v1/datasets", tags=["datasets"])
def datasets(services: ServicesDep, caller: CallerDep) -> Datasets:
    """The data sets that the caller may see."""
    found = services.uploads.rows.all(kind=UploadKind.DATASET, owner=caller.sees_only)
    return Datasets(uploads=_views(services, found))


def _views(services: Services, uploads: list[Upload]) -> list[UploadView]:
    return [_view(services, upload) for upload in uploads]


def _view(services: Services, upload: Upload) -> UploadView:
    return UploadView.of(upload, services.uploads.received(upload))


def _add(kind: UploadKind, words: str) -> None:
    """Answer what can be asked of uploads of `kind`, an archive of `words`."""

    def begin(request: UploadRequest, response: Response, services: ServicesDep, caller: CallerDep) -> UploadView:
        upload, is_new = services.uploads.begin(kind, request.name, request.bytes, request.sha256, caller)
        view = _view(services, upload)
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = view.links["self"]
        return view

    def show(upload_id: str, services: ServicesDep) -> UploadView:
        return _view(services, services.uploads.get(upload_id, kind))

    async def receive(
        upload_id: str,
        request: Request,
        services: ServicesDep,
        content_range: ContentRange = None,
        content_digest: ContentDigest = None,
    ) -> UploadView:
        upload = await run_in_threadpool(services.uploads.get, upload_id, kind)
        place = PartRange(content_range, int(request.headers.get("content-length", "0")))
        async with contextmanager_in_threadpool(services.uploads.receiving(upload, place, content_digest)) as part:
            async for piece in _gathered(request, services.rules.limits.request_s):
                await run_in_threadpool(part.write, piece)
        return await run_in_threadpool(show, upload_id, services)

    def delete(upload_id: str, services: ServicesDep) -> None:
        upload = services.uploads.get(upload_id, kind)
        require_unneeded(services.store, upload)
        services.uploads.delete(upload)

    one = f"{kind.path}/{{upload_id}}"
    tags: list[str | Enum] = [f"{kind}s"]
    created, unsent = documented(400, 408, 409, 411, 413, 429, 503, 507), documented(404, 408, 409, 411, 413, 503, 507)
    router.add_api_route(
        kind.path, begin, methods=["POST"], status_code=201, tags=tags, responses={**ANNOUNCED, **created},
        description=f"Announce an archive of {words}, to be sent to its `content`. The same again gives what is there.",
    )  # fmt: skip
    router.add_api_route(
        one, show, methods=["GET"], tags=tags, responses=documented(404),
        description="One upload: how much of it has come, and whether it is ready for jobs.",
    )  # fmt: skip
    router.add_api_route(
        f"{one}/content", receive, methods=["PUT"], tags=tags, responses=unsent, openapi_extra=BODY,
        description="Send the archive or a part of it, from where it was `received` on at the latest.",
    )  # fmt: skip
    router.add_api_route(
        one, delete, methods=["DELETE"], tags=tags, status_code=204, response_class=Response,
        responses=documented(404, 409, 503),
        description="Forget an upload that no job needs that waits, runs, or can be resumed.",
    )  # fmt: skip


async def _gathered(request: Request, patience_s: float) -> AsyncIterator[bytes]:
    """Yield the body in larger pieces; where it breaks off, what came until then.

    Raises:
        RequestTimeoutError: nothing came for `patience_s`, or the client went away.
    """
    stream, pieces = request.stream(), bytearray()
    broken: Exception | None = None
    while broken is None:
        try:
            with anyio.fail_after(patience_s):
                pieces += await anext(stream)
        except StopAsyncIteration:
            break
        except ClientDisconnect:
            broken = RequestTimeoutError("the client went away before the end of the body")  # told in the log alone
        except TimeoutError:
            broken = RequestTimeoutError(
                f"nothing more of the body came for {patience_s:g} s; go on where it broke off"
            )
        if len(pieces) >= GATHERED_BYTES:
            yield bytes(pieces)
            pieces.clear()
    if pieces:
        yield bytes(pieces)
    if broken is not None:
        raise broken


_add(UploadKind.MODEL, "a model: a checkpoint, or a folder of transformers")
_add(UploadKind.DATASET, "manifests (*.jsonl) with their audio, which they name by relative paths")
