"""A token store in the database of the jobs."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from server.auth.tokens import Role, Token, unknown_token
from server.jobs.job_state import now
from server.stores.schema import TOKENS

# Requests wait for these; they are built once.
FIND = sa.select(TOKENS).where(TOKENS.c.digest == sa.bindparam("digest"))
ANY = sa.select(TOKENS.c.number).limit(1)


class SqlTokens:
    """Tokens in a database; see `server.auth.token_store.TokenStore`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the database of `engine`, whose tables are there (see `server.stores.schema.connect`)."""
        self._engine = engine

    def add(self, token: Token) -> None:
        """Keep `token`."""
        with self._engine.begin() as db:
            db.execute(sa.insert(TOKENS).values(_values_of(token)))

    def all(self) -> list[Token]:
        """Return every token, the oldest first."""
        with self._engine.connect() as db:
            return [_token_of(row) for row in db.execute(sa.select(TOKENS).order_by(TOKENS.c.number))]

    def find(self, digest: str) -> Token | None:
        """Return the token whose secret has the hash `digest`."""
        with self._engine.connect() as db:
            row = db.execute(FIND, {"digest": digest}).one_or_none()
        return None if row is None else _token_of(row)

    def is_empty(self) -> bool:
        """Return True where no token was ever made."""
        with self._engine.connect() as db:
            return db.execute(ANY).first() is None

    def revoke(self, token_id: str) -> Token:
        """Return the token called `token_id`, revoked."""
        good = sa.and_(TOKENS.c.id == token_id, TOKENS.c.revoked_at.is_(None))
        with self._engine.begin() as db:
            db.execute(sa.update(TOKENS).where(good).values(revoked_at=now().isoformat()))
            row = db.execute(sa.select(TOKENS).where(TOKENS.c.id == token_id)).one_or_none()
        if row is None:
            raise unknown_token(token_id)
        return _token_of(row)


def _values_of(token: Token) -> dict[str, Any]:
    revoked_at = token.revoked_at and token.revoked_at.isoformat()
    return {**asdict(token), "created_at": token.created_at.isoformat(), "revoked_at": revoked_at}


def _token_of(row: sa.Row[Any]) -> Token:
    return Token(
        id=row.id,
        owner=row.owner,
        role=Role(row.role),
        digest=row.digest,
        created_at=datetime.fromisoformat(row.created_at),
        max_jobs=row.max_jobs,
        revoked_at=row.revoked_at and datetime.fromisoformat(row.revoked_at),
        max_bytes=row.max_bytes,
    )
