"""Endpoints in the database of the jobs, and what became of the messages to each."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from server.service_errors import OwnerLimitError
from server.stores.schema import DELIVERIES, ENDPOINTS
from server.webhooks.endpoints import Endpoint, unknown_endpoint
from server.webhooks.outbox import DeliveryState, message_id


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, as its owner sees it.

    Attributes:
        number: counts the messages.
        id: names it to its receiver.
        type: of what it tells.
        job_id: of the job.
        state: delivered or not.
        attempts: made so far.
        created_at: when the job came into the state.
        next_attempt_at: where it waits: when it is tried, again or for the first time.
        settled_at: where it waits no more: since when.
        problem: the last one, where there was one.
    """

    number: int
    id: str
    type: str
    job_id: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None
    problem: str | None


class SqlEndpoints:
    """Endpoints in a database."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the database of `engine`, whose tables are there (see `server.stores.schema.connect`)."""
        self._engine = engine

    def add(self, endpoint: Endpoint, *, most: int) -> None:
        """Keep `endpoint`: its owner's next jobs, and next states of those that are there, are told to it.

        Raises:
            OwnerLimitError: its owner has `most` already.
        """
        of_owner = sa.select(sa.func.count()).where(ENDPOINTS.c.owner.is_not_distinct_from(endpoint.owner))
        with self._engine.connect() as db:
            n_there = db.execute(of_owner).scalar_one()
        if n_there >= most:
            raise OwnerLimitError(f"{n_there} webhooks are registered and the server allows {most}; remove one of them")
        with self._engine.begin() as db:
            db.execute(sa.insert(ENDPOINTS).values({**asdict(endpoint), "created_at": endpoint.created_at.isoformat()}))

    def all(self, owner: str | None = None) -> list[Endpoint]:
        """Return the endpoints of `owner`, or everybody's, the oldest first."""
        query = sa.select(ENDPOINTS).order_by(ENDPOINTS.c.number)
        if owner is not None:
            query = query.where(ENDPOINTS.c.owner == owner)
        with self._engine.connect() as db:
            return [_endpoint_of(row) for row in db.execute(query)]

    def get(self, endpoint_id: str, owner: str | None = None) -> Endpoint:
        """Return the endpoint called `endpoint_id` where it is one of `owner`, or anybody's.

        Raises:
            UnknownWebhookError: there is none.
        """
        found = [endpoint for endpoint in self.all(owner) if endpoint.id == endpoint_id]
        if not found:
            raise unknown_endpoint(endpoint_id)
        return found[0]

    def remove(self, endpoint_id: str) -> None:
        """Forget the endpoint called `endpoint_id`, and its messages, sent or not."""
        with self._engine.begin() as db:
            db.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.endpoint_id == endpoint_id))
            db.execute(sa.delete(ENDPOINTS).where(ENDPOINTS.c.id == endpoint_id))

    def sent(self, endpoint_id: str, *, limit: int, before: int | None = None) -> list[Sent]:
        """Return at most `limit` messages to the endpoint, the newest first, those with a number below `before`."""
        query = sa.select(DELIVERIES).where(DELIVERIES.c.endpoint_id == endpoint_id)
        if before is not None:
            query = query.where(DELIVERIES.c.number < before)
        with self._engine.connect() as db:
            return [_sent_of(row) for row in db.execute(query.order_by(DELIVERIES.c.number.desc()).limit(limit))]

    def counts(self) -> dict[DeliveryState, int]:
        """Return state -> the messages to all endpoints that are in it; those that are forgotten are not counted."""
        query = sa.select(DELIVERIES.c.state, sa.func.count()).group_by(DELIVERIES.c.state)
        with self._engine.connect() as db:
            return {DeliveryState(state): n for state, n in db.execute(query)}


def _endpoint_of(row: sa.Row[Any]) -> Endpoint:
    return Endpoint(row.id, row.owner, row.url, row.secret, datetime.fromisoformat(row.created_at))


def _sent_of(row: sa.Row[Any]) -> Sent:
    state = DeliveryState(row.state)
    return Sent(
        number=row.number,
        id=message_id(row.endpoint_id, row.number),
        type=row.type,
        job_id=row.job_id,
        state=state,
        attempts=row.attempts,
        created_at=datetime.fromisoformat(row.created_at),
        next_attempt_at=datetime.fromtimestamp(row.due, UTC) if state is DeliveryState.WAITING else None,
        settled_at=row.settled_at and datetime.fromisoformat(row.settled_at),
        problem=row.problem,
    )
