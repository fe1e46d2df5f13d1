"""One attempt to deliver a message: signed, posted, and taken or not.

References:
    Standard Webhooks 1.0.0: headers, signature, and how answers are taken.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import httpcore
from standardwebhooks import Webhook

import shrinkml
from server.service_errors import ForbiddenTargetError
from server.webhooks.endpoints import endpoint_url
from server.webhooks.outbox import Delivery
from server.webhooks.targets import GuardedBackend, Targets
from shrinkml.job import printable

ATTEMPT_S = 15.0  # for the whole of it
GONE = 410
LONGEST_PROBLEM = 300  # characters


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason that a message was not taken.

    Attributes:
        why: in words.
        is_final: True where the receiver wants no more attempts.
    """

    why: str
    is_final: bool = False


def guarded_pool(targets: Targets) -> httpcore.AsyncConnectionPool:
    """Return what connects to `targets` alone: for each message anew, past every proxy, and follows no redirect."""
    return httpcore.AsyncConnectionPool(
        network_backend=GuardedBackend(targets), max_connections=None, max_keepalive_connections=0
    )


async def post(pool: httpcore.AsyncConnectionPool, delivery: Delivery) -> Refusal | None:
    """Return None once the receiver has taken the message; nothing of its answer is read but the status."""
    url = endpoint_url(delivery.url)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    body = delivery.body.encode()
    try:
        with anyio.fail_after(ATTEMPT_S):
            async with pool.stream("POST", target, headers=_headers(delivery), content=body) as response:
                return _refusal_of(response.status)
    except TimeoutError:
        return Refusal(f"no answer within {ATTEMPT_S:g} s")
    except ForbiddenTargetError as error:
        return Refusal(str(error))
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        return Refusal(printable(f"the connection failed ({type(error).__name__}: {error})")[:LONGEST_PROBLEM])


def _headers(delivery: Delivery) -> dict[bytes | str, bytes | str]:
    at = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"ShrinkML/{shrinkml.__version__}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(delivery.secret).sign(delivery.id, at, delivery.body),
    }


def _refusal_of(status: int) -> Refusal | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Refusal(f"the answer was {status}, and redirects are not followed")
    return Refusal(f"the answer was {status}", is_final=status == GONE)
