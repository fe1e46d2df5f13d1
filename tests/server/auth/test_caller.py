import pytest

from server.auth.caller import ANYBODY, Caller, caller_of
from server.auth.memory_tokens import MemoryTokens
from server.auth.tokens import Role, digest_of, new_token
from server.service_errors import UnauthenticatedError


@pytest.fixture
def tokens() -> MemoryTokens:
    return MemoryTokens()


def add(tokens: MemoryTokens, owner: str, **options) -> str:
    """The hash of the secret of a token that is kept now."""
    token, secret = new_token(owner, **options)
    tokens.add(token)
    return digest_of(secret)


@pytest.mark.parametrize("digest", [None, digest_of("x")])
def test_while_there_are_no_tokens_anybody_asks_for_everything(tokens, digest):
    assert caller_of(tokens, digest) == ANYBODY
    assert (ANYBODY.owner, ANYBODY.sees_only, ANYBODY.max_jobs) == (None, None, None)


def test_a_token_says_who_asks_and_how_far_that_reaches(tokens):
    user, admin = add(tokens, "anna", max_jobs=2), add(tokens, "root", role=Role.ADMIN)
    assert caller_of(tokens, user) == Caller("anna", Role.USER, 2)
    assert caller_of(tokens, user).sees_only == "anna"
    assert caller_of(tokens, admin) == Caller("root", Role.ADMIN, None)
    assert caller_of(tokens, admin).sees_only is None


def test_from_the_first_token_on_everybody_needs_one_that_is_good(tokens):
    digest = add(tokens, "anna")
    with pytest.raises(UnauthenticatedError, match=r"asks for a token: send .*Bearer TOKEN .*SHRINKML_TOKEN.*create"):
        caller_of(tokens, None)
    with pytest.raises(UnauthenticatedError, match=r"none of this server's, or was revoked; .*token create"):
        caller_of(tokens, digest_of("x"))
    tokens.revoke(tokens.all()[0].id)
    for given in (digest, None):
        with pytest.raises(UnauthenticatedError, match="token create"):
            caller_of(tokens, given)
