"""The operator's commands in the home of a server that runs, and what they mean for its users at once."""

import json
import re

import pytest

from server.auth.home_tokens import tokens_in
from server.auth.tokens import digest_of
from server.home import database_url


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, url):
    """The home of the server at `url`, which the environment names for all commands."""
    monkeypatch.setenv("SHRINKML_HOME", str(tmp_path))
    monkeypatch.setenv("SHRINKML_URL", url)
    monkeypatch.delenv("SHRINKML_TOKEN", raising=False)
    return tmp_path


def test_create_prints_the_secret_and_nothing_else_and_keeps_its_hash(shrinkml, home):
    code, out, err = shrinkml("token", "create", "anna")
    assert (code, out.count("\n")) == (0, 1)
    with tokens_in(database_url(home)) as tokens:
        (kept,) = tokens.all()
    assert (kept.owner, kept.role, kept.max_jobs) == ("anna", "user", None)
    assert kept.digest == digest_of(out.strip())
    assert re.fullmatch(rf"Token {kept.id} of anna \(user\); it is shown this once. .*SHRINKML_TOKEN.\n", err)
    assert out.strip() not in err


def test_create_as_json_tells_what_was_made(shrinkml):
    made = json.loads(shrinkml("token", "create", "anna", "--role", "admin", "--jobs", 3, "--json").out)
    assert (made["owner"], made["role"], made["max_jobs"], made["revoked_at"]) == ("anna", "admin", 3, None)
    assert len(made["token"]) == 43


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["a b"], "'a b' cannot be the name of an owner"),
        (["a", "--role", "x"], "--role"),
        (["a", "--jobs", 0], "--jobs"),
    ],
)
def test_what_no_token_can_have_is_refused(shrinkml, home, wrong, message):
    code, out, err = shrinkml("token", "create", *wrong)
    assert (code, out) == (2, "")
    assert message in err
    with tokens_in(database_url(home)) as tokens:
        assert tokens.is_empty()


def test_list_shows_every_token_without_what_it_hides(shrinkml):
    secret = shrinkml("token", "create", "anna", "--jobs", 2).out.strip()
    shrinkml("token", "create", "root", "--role", "admin")
    first, second = json.loads(shrinkml("token", "list", "--json").out)
    shrinkml("token", "revoke", second["id"])
    out = shrinkml("token", "list").out
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:4] == ["token", "owner", "role", "jobs"]
    assert rows[1] == [first["id"], "anna", "user", "2", first["created_at"]]
    assert rows[2][:4] == [second["id"], "root", "admin", second["created_at"]]
    assert len(rows[2]) == 5, "when it was revoked"
    assert secret not in out
    assert digest_of(secret) not in out + json.dumps([first, second])


def test_from_the_first_token_on_users_need_theirs_until_it_is_revoked(shrinkml, monkeypatch):
    assert shrinkml("status").code == 0
    secret = shrinkml("token", "create", "anna").out.strip()
    code, _, err = shrinkml("status")
    assert code == 1
    assert err.startswith("error: Token needed: this server asks for a token")
    assert "SHRINKML_TOKEN" in err
    monkeypatch.setenv("SHRINKML_TOKEN", secret)
    assert shrinkml("status").code == 0
    token_id = json.loads(shrinkml("token", "list", "--json").out)[0]["id"]
    assert shrinkml("token", "revoke", token_id).out == f"token {token_id} of anna is revoked\n"
    assert "or was revoked" in shrinkml("status").err


def test_an_unknown_token_is_a_user_error(shrinkml):
    code, _, err = shrinkml("token", "revoke", "x")
    assert (code, err) == (2, "error: no token 'x'; `shrinkml token list` names them by their ids\n")


@pytest.mark.parametrize("command", [["list"], ["revoke", "x"]])
def test_a_folder_that_is_no_home_is_a_user_error(shrinkml, home, command):
    code, _, err = shrinkml("token", *command, "--home", home / "nowhere")
    assert code == 2
    assert "nowhere is no home of a server" in err
