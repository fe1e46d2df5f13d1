"""The caller of a request: the owner of its token, or anybody where the service asks for none."""

from dataclasses import dataclass

from server.auth.token_store import TokenStore
from server.auth.tokens import Role
from server.service_errors import UnauthenticatedError

NO_TOKEN = (
    "this server asks for a token: send the header Authorization: Bearer TOKEN (`shrinkml` and the Python client "
    "take it from SHRINKML_TOKEN); its operator makes one with `shrinkml token create`"
)
WRONG_TOKEN = (
    "the token is none of this server's, or was revoked; its operator makes one with `shrinkml token create` "
    "(`shrinkml` and the Python client take it from SHRINKML_TOKEN)"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who asks.

    Attributes:
        owner: of the jobs that it submits; None where nobody needs a token.
        role: how far it reaches.
        max_jobs: jobs of one owner that may wait or run at once when it adds one; None for any number.
        max_bytes: that all its uploads may take; None for any number.
    """

    owner: str | None
    role: Role
    max_jobs: int | None = None
    max_bytes: int | None = None

    @property
    def sees_only(self) -> str | None:
        """The owner whose jobs alone it may see; None for everybody's."""
        return None if self.role is Role.ADMIN else self.owner


ANYBODY = Caller(owner=None, role=Role.ADMIN)  # where there are no tokens: only this machine reaches the service


def caller_of(tokens: TokenStore, digest: str | None) -> Caller:
    """Return who asks with the token whose secret has the hash `digest`, if with one.

    Raises:
        UnauthenticatedError: a token is needed, and this is none that is good.
    """
    token = None if digest is None else tokens.find(digest)
    if token is not None and digest is not None and token.opens(digest):
        return Caller(token.owner, token.role, token.max_jobs, token.max_bytes)
    if tokens.is_empty():
        return ANYBODY
    raise UnauthenticatedError(NO_TOKEN if digest is None else WRONG_TOKEN)
