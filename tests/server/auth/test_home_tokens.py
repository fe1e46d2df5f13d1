import pytest

from server.auth.home_tokens import has_tokens, tokens_in
from server.auth.tokens import new_token
from server.home import database, database_url
from shrinkml.errors import ConfigError


def test_tokens_are_kept_in_a_home_that_no_server_has_seen_yet(tmp_path):
    home = tmp_path / "new" / "home"
    token = new_token("anna")[0]
    with tokens_in(database_url(home), make=True) as tokens:
        tokens.add(token)
    with tokens_in(database_url(home)) as tokens:
        assert tokens.all() == [token]


def test_a_folder_that_is_no_home_is_told_and_left_as_it_is(tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path} is no home of a server; --home or SHRINKML_HOME names"):
        tokens_in(database_url(tmp_path)).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_home_has_tokens_once_it_had_one(tmp_path):
    assert not has_tokens(database_url(tmp_path))
    assert not database(tmp_path).exists(), "nothing is made by asking"
    token = new_token("anna")[0]
    with tokens_in(database_url(tmp_path), make=True) as tokens:
        assert not has_tokens(database_url(tmp_path))
        tokens.add(token)
        assert has_tokens(database_url(tmp_path))
        tokens.revoke(token.id)
    assert has_tokens(database_url(tmp_path))
