"""The contract of `TokenStore`, over every implementation (see conftest.py)."""

import pytest

from server.auth.tokens import Role, digest_of, new_token
from server.service_errors import UnknownTokenError


def test_a_token_is_found_by_the_hash_of_its_secret_as_it_was_made(tokens):
    anna, secret = new_token("anna", role=Role.ADMIN, max_jobs=3)
    bert, other = new_token("bert")
    for token in (anna, bert):
        tokens.add(token)
    assert tokens.find(digest_of(secret)) == anna
    assert tokens.find(digest_of(other)) == bert
    assert tokens.find(secret) is None, "the secret itself is kept nowhere"


def test_tokens_are_listed_in_the_order_that_they_were_made_in(tokens):
    made = [new_token(owner)[0] for owner in ("bert", "anna", "bert")]
    for token in made:
        tokens.add(token)
    assert tokens.all() == made


def test_a_revoked_token_opens_nothing_and_stays_in_the_list(tokens):
    token, secret = new_token("anna")
    kept = new_token("anna")[0]
    for one in (token, kept):
        tokens.add(one)
    revoked = tokens.revoke(token.id)
    assert revoked.revoked_at >= token.created_at
    assert tokens.find(digest_of(secret)) == revoked
    assert not revoked.opens(digest_of(secret))
    assert tokens.all() == [revoked, kept]
    assert tokens.revoke(token.id) == revoked, "it was revoked when it was revoked first"


def test_a_store_is_empty_until_the_first_token_and_never_again(tokens):
    assert tokens.is_empty()
    token = new_token("anna")[0]
    tokens.add(token)
    assert not tokens.is_empty()
    tokens.revoke(token.id)
    assert not tokens.is_empty()


def test_an_unknown_token_is_named_with_the_way_to_the_known_ones(tokens):
    with pytest.raises(UnknownTokenError, match="no token 'x'; `shrinkml token list` names them"):
        tokens.revoke("x")
