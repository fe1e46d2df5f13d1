"""The outbox: messages for endpoints, written with the events that they tell of, and taken out by those who send them.

A message is there if and only if its event is: one transaction writes both. Any number of processes may send. Who takes
a message counts an attempt, which only one can (compare and set), and owns it for a while (a lease); if nothing more is
heard, another one tries again. So a message arrives at least once: receivers know it again by its id.

References:
    Standard Webhooks 1.0.0 (standardwebhooks.com): the payload, and the schedule of attempts.
"""

import json
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from server.jobs.job_state import now
from server.stores.schema import DELIVERIES, ENDPOINTS, JOBS, TOKENS
from shrinkml.events import Event

LEASE_S = 60.0  # that a message is its sender's; an attempt takes less
MINUTE_S, HOUR_S = 60, 3600
# Between one attempt and the next. With the first, ten attempts in 75 hours; then a message is given up.
RETRY_S = (5, 5 * MINUTE_S, 30 * MINUTE_S, *(hours * HOUR_S for hours in (2, 5, 10, 14, 20, 24)))
JITTER = 0.1  # of each wait, up or down: receivers that come back are not asked by all at once


class DeliveryState(StrEnum):
    """The state of a message."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that is to be sent now.

    Attributes:
        number: counts the messages.
        endpoint_id: of the endpoint.
        url: of the endpoint.
        secret: of the endpoint.
        body: what is sent, the same at each attempt.
        attempts: this one included.
        is_wanted: False where every token of the endpoint's owner is revoked.
    """

    number: int
    endpoint_id: str
    url: str = field(repr=False)  # it may hold a secret
    secret: str = field(repr=False)
    body: str
    attempts: int
    is_wanted: bool

    @property
    def id(self) -> str:
        """Names the message to its receiver."""
        return message_id(self.endpoint_id, self.number)


def message_id(endpoint_id: str, number: int) -> str:
    """Return the id of message `number`, which goes to the endpoint `endpoint_id`."""
    return f"msg_{endpoint_id}_{number}"


# Every event is written behind this one; it is built once.
_LISTENING = (
    sa.select(ENDPOINTS.c.id)
    .join(JOBS, ENDPOINTS.c.owner.is_not_distinct_from(JOBS.c.owner))
    .where(JOBS.c.id == sa.bindparam("job_id"))
)


def note(db: sa.Connection, job_id: str, sequence: int, event: Event, at: datetime) -> None:
    """Write a message for each endpoint of the job's owner, in the transaction of `db`, if `event` tells of a state."""
    if event.kind != "state":
        return
    endpoints = db.execute(_LISTENING, {"job_id": job_id}).scalars().all()
    if endpoints:
        kind = f"job.{event.data['state']}"
        row: dict[str, Any] = {"job_id": job_id, "type": kind, "body": _body(kind, job_id, sequence, event, at)}
        row |= {"created_at": at.isoformat(), "state": DeliveryState.WAITING, "attempts": 0, "due": at.timestamp()}
        db.execute(sa.insert(DELIVERIES), [{**row, "endpoint_id": endpoint} for endpoint in endpoints])


def _body(kind: str, job_id: str, sequence: int, event: Event, at: datetime) -> str:
    told = {"job_id": job_id, "sequence": sequence, **event.data, "stage": event.stage, "message": event.message}
    return json.dumps({"type": kind, "timestamp": at.isoformat(), "data": told}, separators=(",", ":"))


_DUE = sa.and_(DELIVERIES.c.state == DeliveryState.WAITING, DELIVERIES.c.due <= sa.bindparam("clock"))
_FIRST_DUE = sa.select(sa.func.min(DELIVERIES.c.number)).where(_DUE).group_by(DELIVERIES.c.endpoint_id)
_GOOD_TOKEN = sa.exists().where(TOKENS.c.owner == ENDPOINTS.c.owner, TOKENS.c.revoked_at.is_(None))
_IS_WANTED = sa.or_(ENDPOINTS.c.owner.is_(None), _GOOD_TOKEN)
# The first message that is due of each endpoint: one that is silent does not keep others waiting.
_CLAIMABLE = (
    sa.select(DELIVERIES, ENDPOINTS.c.url, ENDPOINTS.c.secret, _IS_WANTED.label("is_wanted"))
    .join(ENDPOINTS, ENDPOINTS.c.id == DELIVERIES.c.endpoint_id)
    .where(DELIVERIES.c.number.in_(_FIRST_DUE))
    .order_by(DELIVERIES.c.number)
)


class SqlOutbox:
    """The outbox in the database of the jobs, for those who send."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the database of `engine`, whose tables are there (see `server.stores.schema.connect`)."""
        self._engine = engine

    def claim(self, clock: float, *, most: int, busy: Collection[str] = ()) -> list[Delivery]:
        """Take at most `most` messages that are due, one of each endpoint that is not among `busy`.

        Args:
            clock: seconds since 1970, as the claimer has them.
            most: of messages.
            busy: ids of endpoints.
        """
        with self._engine.connect() as db:
            rows = [row for row in db.execute(_CLAIMABLE, {"clock": clock}) if row.endpoint_id not in busy]
        return [_delivery(row) for row in rows[:most] if self._change(row.number, row.attempts, _claimed(row, clock))]

    def settle(self, delivery: Delivery, state: DeliveryState, problem: str | None = None) -> None:
        """Note that the message was delivered, or is given up for `problem`."""
        values = {"state": state, "settled_at": now().isoformat(), "problem": problem}
        self._change(delivery.number, delivery.attempts, values)

    def postpone(self, delivery: Delivery, problem: str, clock: float) -> bool:
        """Have the message tried again later than `clock`; False where it was tried often enough."""
        if delivery.attempts > len(RETRY_S):
            return False
        wait_s = RETRY_S[delivery.attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)
        self._change(delivery.number, delivery.attempts, {"due": clock + wait_s, "problem": problem})
        return True

    def forget(self, before: datetime) -> int:
        """Remove the messages that were settled before, and return their number."""
        with self._engine.begin() as db:
            return db.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.settled_at < before.isoformat())).rowcount

    def _change(self, number: int, attempts: int, values: dict[str, Any]) -> bool:
        """Change a message that waits, unless somebody else has taken it since it had so many attempts."""
        unchanged = sa.and_(
            DELIVERIES.c.number == number,
            DELIVERIES.c.attempts == attempts,
            DELIVERIES.c.state == DeliveryState.WAITING,
        )
        with self._engine.begin() as db:
            return db.execute(sa.update(DELIVERIES).where(unchanged).values(values)).rowcount == 1


def _claimed(row: sa.Row[Any], clock: float) -> dict[str, Any]:
    return {"attempts": row.attempts + 1, "due": clock + LEASE_S}


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(row.number, row.endpoint_id, row.url, row.secret, row.body, row.attempts + 1, bool(row.is_wanted))
