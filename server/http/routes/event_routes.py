"""A job's log: in pages, or as a stream of server-sent events."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Annotated, NamedTuple

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from server.http.authorization import CallerDep, DigestDep, admitted
from server.http.dependencies import Services, ServicesDep
from server.http.problems import documented
from server.http.views import EventPage, EventView
from server.service_errors import UnauthenticatedError, UnknownJobError
from server.stores.schema import MOST_INTEGER

router = APIRouter(prefix="/v1/jobs", tags=["events"])

MOST_PER_PAGE = 1000
POLL_S = 0.25  # how often a log is looked at, for all that follow it: the worker that writes it is another process
ADMISSION_S = 1.0  # how often a stream asks whether its token is still good
HEARTBEAT_S = 15.0  # proxies close connections that stay silent for long
SSE = "text/event-stream"


@router.get(
    "/{job_id}/events",
    response_model=EventPage,
    responses={200: {"content": {SSE: {}}}, 204: {"description": "Nothing more will come."}, **documented(404)},
)
async def events(
    job_id: str,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    digest: DigestDep,
    after: Annotated[int, Query(ge=0, le=MOST_INTEGER, description="Only events after this sequence number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Events per page; a stream has no pages.")] = 100,
    accept: Annotated[str, Header(description="text/event-stream for a stream.")] = "*/*",
    last_event_id: Annotated[
        int | None, Header(ge=0, le=MOST_INTEGER, description="Where a broken stream goes on.")
    ] = None,
) -> Response | EventPage:
    """The job's events in order: one page as JSON or, if the client accepts it, a stream that ends when the job does.

    In the stream an event's id is its sequence number. A browser that comes back after the end gets 204 and stays away.
    """
    streamed = SSE in accept
    page = await run_in_threadpool(_page, services, job_id, last_event_id or after, 1 if streamed else limit)
    if not streamed:
        return page
    if page.state.ended and not page.items and last_event_id is not None:
        return Response(status_code=204)
    if request.method == "HEAD":
        return Response(media_type=SSE)
    services.streams.enter("follow events", caller.owner)
    parts = _admitted_parts(services, job_id, last_event_id or after, digest)
    return StreamingResponse(_counted(services, caller.owner, parts), media_type=SSE)


def _page(services: Services, job_id: str, after: int, limit: int) -> EventPage:
    state = services.store.state(job_id)  # before the events: whatever ended the job is then among them
    items = [EventView.of(entry) for entry in services.store.events(job_id, after=after, limit=limit)]
    return EventPage(items=items, next_after=items[-1].sequence if items else after, state=state)


async def _counted(services: Services, owner: str | None, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield `parts`, and give the place of the stream back at the end."""
    try:
        async for part in parts:
            yield part
    finally:
        services.streams.leave(owner)


async def _admitted_parts(services: Services, job_id: str, after: int, digest: str | None) -> AsyncIterator[bytes]:
    """Yield the parts of the stream while its client may ask for them: who comes back is told why it has ended."""
    asked = time.monotonic()
    with suppress(UnauthenticatedError, UnknownJobError):
        async for part in _parts(services, job_id, after):
            if time.monotonic() - asked >= ADMISSION_S:
                asked = time.monotonic()
                await admitted(services, digest, job_id)
            if part:
                yield part


class Part(NamedTuple):
    """A part of a stream.

    Attributes:
        content: events as they are sent, in one piece: a client that is gone is then written to once.
        next_after: number of the last of them.
        ended: True where the job has ended, and nothing comes behind them.
    """

    content: bytes
    next_after: int
    ended: bool


async def _parts(services: Services, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Yield what is new in the log, at each look at it: nothing, mostly, or what keeps the connection open."""
    spoke = time.monotonic()
    while not services.stopping():
        part = await services.reads.get((job_id, after), partial(_part, services, job_id, after))
        if part.ended and not part.content:
            return
        silent = not part.content and time.monotonic() - spoke >= HEARTBEAT_S
        yield KEEPALIVE_COMMENT if silent else part.content
        if silent or part.content:
            after, spoke = part.next_after, time.monotonic()
        # All followers look at the same moments, and so share a read.
        await anyio.sleep(POLL_S - time.monotonic() % POLL_S)


def _part(services: Services, job_id: str, after: int) -> Part:
    page = _page(services, job_id, after, MOST_PER_PAGE)
    content = b"".join(
        format_sse_event(data_str=item.model_dump_json(), event=item.kind, id=str(item.sequence)) for item in page.items
    )
    return Part(content, page.next_after, page.state.ended)
