"""The store in a database: what it shares, and what it never holds."""

from pathlib import Path

import sqlalchemy as sa

from server.auth.sql_tokens import SqlTokens
from server.auth.tokens import digest_of, new_token


def test_another_process_on_the_same_database_sees_a_token_and_its_end(engine):
    token, secret = new_token("anna")
    SqlTokens(engine).add(token)
    other = sa.create_engine(engine.url)
    assert SqlTokens(other).find(digest_of(secret)) == token
    revoked = SqlTokens(other).revoke(token.id)
    other.dispose()
    assert SqlTokens(engine).all() == [revoked]


def test_the_secret_is_in_no_file_of_the_home(engine, tmp_path):
    token, secret = new_token("anna")
    SqlTokens(engine).add(token)
    files = [path.read_bytes() for path in Path(tmp_path).glob("jobs.sqlite*")]
    assert any(token.digest.encode() in content for content in files)
    assert not any(secret.encode() in content for content in files)
