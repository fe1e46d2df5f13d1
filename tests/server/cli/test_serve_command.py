import json
import re
from pathlib import Path

import pytest

from server import serving
from server.auth.home_tokens import tokens_of
from server.auth.tokens import new_token
from server.settings import check_protected
from shrinkml.errors import ConfigError

DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"


@pytest.fixture
def served(monkeypatch):
    """The settings that the command serves with; it says that it is ready and returns."""
    seen = []

    def serve(settings, *, on_ready):
        seen.append(settings)
        on_ready("http://127.0.0.1:1")

    monkeypatch.setattr(serving, "serve", serve)
    return seen


def test_serve_says_where_it_listens_on_standard_error(shrinkml, served, tmp_path):
    code, out, err = shrinkml("serve", "--home", tmp_path, "--port", 0)
    assert (code, out) == (0, "")
    access = "without tokens, for this machine alone"
    assert err == f"ShrinkML is serving at http://127.0.0.1:1 (files in {tmp_path}; {access}); Ctrl-C stops it.\n"


def test_options_become_settings(shrinkml, served, tmp_path):
    roots, hosts = ("--data-root", "a", "--data-root", "b"), ("--allowed-host", "asr", "--allowed-host", "asr.lan")
    limits = ("--limit", "jobs_waiting=3", "--limit", "job_hours=2.5")
    shrinkml("serve", "--home", tmp_path, *roots, *hosts, *limits, "--allow-hub", "--host", "0.0.0.0", "--insecure")
    (settings,) = served
    assert (settings.home, settings.allow_hub) == (tmp_path, True)
    assert (settings.host, settings.insecure, settings.allowed_hosts) == ("0.0.0.0", True, ("asr", "asr.lan"))
    assert settings.data_roots == (Path("a"), Path("b"))
    assert (settings.limits.jobs_waiting, settings.limits.job_hours) == (3, 2.5)


def test_who_opens_the_service_to_others_is_warned(shrinkml, served, tmp_path):
    err = shrinkml("serve", "--home", tmp_path, "--host", "0.0.0.0", "--insecure").err
    assert err.startswith("warning: whoever reaches 0.0.0.0 may read and write all that this service may")
    assert "without tokens, for whoever reaches it" in err


def test_a_service_with_tokens_is_open_to_nobody_and_says_so(shrinkml, served, tmp_path):
    with tokens_of(tmp_path, make=True) as tokens:
        tokens.add(new_token("anna")[0])
    err = shrinkml("serve", "--home", tmp_path, "--host", "0.0.0.0", "--insecure").err
    assert "warning" not in err
    assert f"(files in {tmp_path}; who asks needs a token)" in err


def test_a_limit_that_there_is_not_is_a_user_error(shrinkml, served, tmp_path):
    code, _, err = shrinkml("serve", "--home", tmp_path, "--limit", "colour=3")
    assert (code, served) == (2, [])
    assert "error: --limit colour" in err


def test_options_may_come_from_the_environment(shrinkml, served, tmp_path, monkeypatch):
    monkeypatch.setenv("SHRINKML_HOME", str(tmp_path))
    monkeypatch.setenv("SHRINKML_PORT", "1234")
    shrinkml("serve")
    (settings,) = served
    assert (settings.home, settings.port, settings.data_roots) == (tmp_path, 1234, (Path(),))


def test_a_port_that_there_is_not_is_refused(shrinkml, served):
    code, _, err = shrinkml("serve", "--port", 70000)
    assert (code, "65535" in err, served) == (2, True, [])


def test_the_image_serves_others_only_where_its_operator_insists(shrinkml, served, monkeypatch):
    found = re.search(r"^CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    program, *arguments = json.loads(found[1])
    assert program == "shrinkml"
    shrinkml(*arguments)
    monkeypatch.setenv("SHRINKML_INSECURE", "1")
    assert "warning: whoever reaches 0.0.0.0" in shrinkml(*arguments).err
    refused, meant = served
    with pytest.raises(ConfigError, match=r"other machines reach 0\.0\.0\.0"):
        check_protected(refused, has_tokens=False)
    check_protected(meant, has_tokens=False)
