"""Bearer tokens: long random secrets, each of an owner, kept as hashes.

A secret has 256 bits drawn at random. Nobody finds one by trying, so a plain SHA-256 keeps it as safe as the slow,
salted hash that passwords need.

References:
    Jones and Hardt 2012, The OAuth 2.0 Authorization Framework: Bearer Token Usage, RFC 6750.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from server.jobs.job_state import now
from server.service_errors import UnknownTokenError
from shrinkml.errors import ConfigError

SECRET_BYTES = 32
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """The reach of a token: its owner's jobs, or everybody's."""

    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept, without its secret.

    Attributes:
        id: names it where it is listed and revoked; no secret.
        owner: the user whose jobs are submitted with it.
        role: how far it reaches.
        digest: SHA-256 of the secret, in hexadecimal.
        created_at: when it was made.
        max_jobs: jobs of the owner that may wait or run at once when one is added with it; None for any number.
        revoked_at: since when it opens nothing; None while it is good.
        max_bytes: that all uploads of the owner may take when one is begun with it; None for any number.
    """

    id: str
    owner: str
    role: Role
    digest: str = field(repr=False)
    created_at: datetime
    max_jobs: int | None = None
    revoked_at: datetime | None = None
    max_bytes: int | None = None

    def opens(self, digest: str) -> bool:
        """Return True where `digest` is of this token's secret, compared in constant time, and it is not revoked."""
        return hmac.compare_digest(self.digest, digest) and self.revoked_at is None


def new_token(
    owner: str, *, role: Role = Role.USER, max_jobs: int | None = None, max_bytes: int | None = None
) -> tuple[Token, str]:
    """Return a token and its secret, which is kept nowhere.

    Raises:
        ConfigError: `owner` is no name of an owner.
    """
    if not OWNER.fullmatch(owner):
        raise ConfigError(
            f"{owner!r:.80} cannot be the name of an owner; allowed: 1 to 64 letters, digits and . _ @ -, "
            "the first a letter or a digit"
        )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    token = Token(secrets.token_hex(4), owner, role, digest_of(secret), now(), max_jobs, max_bytes=max_bytes)
    return token, secret


def digest_of(secret: str) -> str:
    """Return the SHA-256 of `secret`, in hexadecimal: the form in which tokens are kept and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def unknown_token(token_id: str) -> UnknownTokenError:
    """Return the error that no token is called `token_id`."""
    return UnknownTokenError(f"no token {token_id!r:.80}; `shrinkml token list` names them by their ids")
