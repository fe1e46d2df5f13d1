import hashlib
import re
from dataclasses import replace

import pytest

from server.auth.tokens import Role, Token, digest_of, new_token, unknown_token
from server.jobs.job_state import now
from shrinkml.errors import ConfigError


def test_a_new_token_reaches_its_owners_jobs_without_a_limit():
    token, _ = new_token("anna")
    assert (token.owner, token.role, token.max_jobs, token.revoked_at) == ("anna", Role.USER, None, None)


def test_a_secret_is_long_random_and_fit_for_a_header():
    secrets = [new_token("anna")[1] for _ in range(20)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets), "256 bits, 6 in a character"
    assert len(set(secrets)) == 20


def test_the_kept_token_holds_the_hash_alone_and_shows_not_even_that():
    token, secret = new_token("anna")
    assert token.digest == digest_of(secret) == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str([getattr(token, name) for name in Token.__slots__])
    assert token.digest not in repr(token)


def test_a_token_opens_for_its_secret_until_it_is_revoked():
    token, secret = new_token("anna")
    assert token.opens(digest_of(secret))
    assert not token.opens(digest_of(secret + "x"))
    assert not replace(token, revoked_at=now()).opens(digest_of(secret))


@pytest.mark.parametrize("owner", ["a", "Anna.B-2_c", "anna@example.org", "7", "a" * 64])
def test_names_of_people_machines_and_mailboxes_are_names_of_owners(owner):
    assert new_token(owner)[0].owner == owner


@pytest.mark.parametrize("owner", ["", " ", "-a", ".a", "a b", "a\n", "a/b", "\u00e4", "a" * 65, "a:b"])
def test_what_would_be_misread_elsewhere_is_no_name_of_an_owner(owner):
    with pytest.raises(ConfigError, match="cannot be the name of an owner; allowed: 1 to 64 letters, digits and"):
        new_token(owner)


def test_an_unknown_token_is_named_with_the_way_to_the_known_ones():
    assert str(unknown_token("x")) == "no token 'x'; `shrinkml token list` names them by their ids"
