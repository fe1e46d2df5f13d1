"""The contract of a token store: the tokens of a service, which its servers and its operator share."""

from typing import Protocol

from server.auth.tokens import Token


class TokenStore(Protocol):
    """Tokens. None is ever forgotten: a service that had one asks for one, though all were revoked."""

    def add(self, token: Token) -> None:
        """Keep `token`."""
        ...

    def all(self) -> list[Token]:
        """Return every token, revoked ones too, the oldest first."""
        ...

    def find(self, digest: str) -> Token | None:
        """Return the token whose secret has the hash `digest`, if there is one."""
        ...

    def is_empty(self) -> bool:
        """Return True where no token was ever made."""
        ...

    def revoke(self, token_id: str) -> Token:
        """Return the token called `token_id`, revoked now or before.

        Raises:
            UnknownTokenError: there is none.
        """
        ...
