"""A token store in memory: for tests."""

from dataclasses import replace

from server.auth.tokens import Token, unknown_token
from server.jobs.job_state import now


class MemoryTokens:
    """Tokens in this process; see `server.auth.token_store.TokenStore`."""

    def __init__(self) -> None:
        """Keep no token yet."""
        self._tokens: dict[str, Token] = {}

    def add(self, token: Token) -> None:
        """Keep `token`."""
        self._tokens[token.id] = token

    def all(self) -> list[Token]:
        """Return every token, the oldest first."""
        return list(self._tokens.values())

    def find(self, digest: str) -> Token | None:
        """Return the token whose secret has the hash `digest`."""
        return next((token for token in self.all() if token.digest == digest), None)

    def is_empty(self) -> bool:
        """Return True where no token was ever made."""
        return not self._tokens

    def revoke(self, token_id: str) -> Token:
        """Return the token called `token_id`, revoked."""
        token = self._tokens.get(token_id)
        if token is None:
            raise unknown_token(token_id)
        if token.revoked_at is None:
            token = self._tokens[token_id] = replace(token, revoked_at=now())
        return token
