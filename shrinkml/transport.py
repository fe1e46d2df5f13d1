"""Requests to the service that survive a bad connection, its problem documents and its event streams."""

import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import httpx

from shrinkml.errors import ConfigError, ServiceError
from shrinkml.events import LoggedEvent

T = TypeVar("T")

TRIES = 5
FIRST_WAIT_S = 0.25  # before the second try; doubles each time
PROBLEM = "application/problem+json"
PASSING = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


def is_loopback(url: str) -> bool:
    """True where `url` is of a server on this machine, as localhost or by an address that leads back to it."""
    host = httpx.URL(url).host.rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that shows `token` to a server; none without a token.

    Raises:
        ConfigError: no token looks like that. The message does not tell it: it may be a part of one.
    """
    stripped = (token or "").strip()
    if not stripped:
        return {}
    if not TOKEN.fullmatch(stripped):
        raise ConfigError(
            "SHRINKML_TOKEN holds what no token has, such as a space; set it to what `shrinkml token create` printed"
        )
    return {"Authorization": f"Bearer {stripped}"}


def persistently(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns, tried again while the connection fails; it must be safe to repeat.

    Raises:
        ServiceError: the server refused, or could not be reached in several tries.
    """
    for n_failed in range(TRIES):
        try:
            return attempt()
        except httpx.TransportError as error:
            failure = error
        if n_failed + 1 < TRIES:
            time.sleep(FIRST_WAIT_S * 2**n_failed)
    url = failure.request.url.copy_with(path="/", query=None)
    raise ServiceError(
        f"cannot reach {url} ({failure}); is the server running? `shrinkml serve` starts one"
    ) from failure


def raise_for_problem(response: httpx.Response) -> None:
    """Returns if `response` is a success; reads its body otherwise.

    Raises:
        ServiceError: with the title and detail of the problem document, or the status where there is none.
    """
    if not response.is_error:
        return
    response.read()
    if response.headers.get("Content-Type", "").startswith(PROBLEM):
        problem = response.json()
        raise ServiceError(f"{problem['title']}: {problem['detail']}")
    raise ServiceError(
        f"{response.url} answered {response.status_code} {response.reason_phrase}; is it ShrinkML's URL?"
    )


def refusal_for_now(response: httpx.Response) -> ServiceError | None:
    """Return the problem of a `response` that may be another one later (429, 503); None for a success.

    Raises:
        ServiceError: the problem of one that will not.
    """
    try:
        raise_for_problem(response)
    except ServiceError as error:
        if response.status_code in PASSING:
            return error
        raise
    return None


def parse_events(lines: Iterable[str]) -> Iterator[LoggedEvent]:
    """The events of a stream (text/event-stream) whose data are JSON; comments and other fields are left aside."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:"))
        elif not line and data:
            yield LoggedEvent.from_json(json.loads("\n".join(data)))
            data = []
