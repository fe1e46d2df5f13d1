"""Endpoints: addresses of users that are told of their jobs, each with a secret that its messages are signed with.

An owner registers an address once, and it hears of all the owner's jobs. A job does not name one: it would have to be
answered with a secret that is shown once, while a submission may be repeated and jobs are kept in folders and reports.
"""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from server.jobs.job_state import now
from server.service_errors import UnknownWebhookError

SECRET_BYTES = 32  # Standard Webhooks wants 24 to 64
SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that is told of its owner's jobs.

    Attributes:
        id: names it where it is listed and removed.
        owner: of the jobs that it hears of; None for those that were submitted where nobody needed a token.
        url: messages are posted there.
        secret: signs them.
        created_at: when it was registered.
    """

    id: str
    owner: str | None
    url: str
    secret: str = field(repr=False)
    created_at: datetime


def new_endpoint(url: str, owner: str | None) -> Endpoint:
    """Return an endpoint of `owner` with a secret of its own."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
    return Endpoint(secrets.token_hex(4), owner, url, secret, now())


def endpoint_url(text: str) -> httpx.URL:
    """Return `text` as the URL of an endpoint.

    Raises:
        ValueError: it is none. The message does not tell it: such URLs may hold secrets.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"it is no URL ({error}); allowed: one such as https://example.org/hook") from error
    if url.scheme not in SCHEMES or not url.host:
        raise ValueError("allowed: a whole URL with http or https, such as https://example.org/hook")
    if url.userinfo or url.fragment:
        raise ValueError("allowed: a URL without a user, a password and a fragment; messages are signed instead")
    return url


def unknown_endpoint(endpoint_id: str) -> UnknownWebhookError:
    """Return the error that no endpoint is called `endpoint_id`."""
    return UnknownWebhookError(f"no webhook {endpoint_id!r:.80}; GET /v1/webhooks lists yours")
