from pathlib import Path

import pytest
from pydantic import ValidationError

from server.limits import DEFAULT_LIMITS, Limits
from server.settings import (
    Setting,
    Settings,
    bracketed,
    check_protected,
    check_shared,
    listed,
    read_settings,
    variable_of,
    words_of,
)
from shrinkml.errors import ConfigError


def test_the_defaults_serve_this_machine_alone_and_fetch_nothing():
    settings = Settings()
    assert (settings.host, settings.port, settings.limits) == ("127.0.0.1", 8765, DEFAULT_LIMITS)
    check_protected(settings, has_tokens=False)
    assert settings.data_roots == (Path(),)
    assert not settings.allow_hub
    assert settings.log_format == "text"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": 65536}, "less than or equal to 65535"),
        ({"port": -1}, "greater than or equal to 0"),
        ({"data_roots": ()}, "at least 1 item"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_served_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**wrong)


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_protection(host):
    check_protected(Settings(host=host), has_tokens=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_an_address_that_others_reach_is_served_only_with_tokens_or_where_the_operator_insists(host):
    message = rf"other machines reach {host}, and without tokens .*`shrinkml token create OWNER --home h`.*--insecure"
    with pytest.raises(ConfigError, match=message):
        check_protected(Settings(host=host, home="h"), has_tokens=False)
    check_protected(Settings(host=host), has_tokens=True)
    check_protected(Settings(host=host, insecure=True), has_tokens=False)


def test_an_address_of_ipv6_stands_in_brackets():
    assert [bracketed(host) for host in ("::1", "127.0.0.1")] == ["[::1]", "127.0.0.1"]


def test_what_is_not_given_is_as_it_is_by_default():
    assert read_settings(port=None, data_roots=None, limits=[]) == read_settings(allowed_hosts=()) == Settings()


def test_settings_are_read_as_they_are_given():
    found = read_settings(port=0, insecure=True, data_roots=[Path("a"), Path("b")], limits=["jobs_waiting=3"])
    roots = (Path("a"), Path("b"))
    assert found == Settings(port=0, insecure=True, data_roots=roots, limits=Limits(jobs_waiting=3))


def test_all_lies_in_the_home_unless_it_is_shared():
    alone, shared = Settings(home="h"), read_settings(home=Path("h"), database="postgres://a:secret@db/x", files="f")
    assert (alone.database_url, alone.jobs_files) == (f"sqlite:///{Path('h').resolve()}/jobs.sqlite", Path("h"))
    assert (shared.database_url, shared.jobs_files) == ("postgresql://a:secret@db/x", Path("f"))
    assert "secret" not in f"{shared!r} {listed(shared)}"


@pytest.mark.parametrize("url", ["mysql://a:secret@db/x", "sqlite:///secret", "secret.db", "postgresql://"])
def test_a_database_that_is_none_of_postgres_is_refused_and_its_password_not_told(url):
    with pytest.raises(
        ConfigError, match="--database: a URL such as postgresql://USER:PASSWORD@HOST/NAME is"
    ) as caught:
        read_settings(database=url)
    assert "secret@" not in str(caught.value)


def test_servers_and_workers_that_work_apart_want_a_database_that_they_share():
    check_shared(read_settings(database="postgresql://db/x"))
    with pytest.raises(ConfigError, match=r"wants the database that it shares with others: name it with --database"):
        check_shared(Settings(worker=False))


def test_a_limit_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="--limit colour"):
        read_settings(limits=["colour=3"])


@pytest.mark.parametrize("origin", ["*", "null", "a.org", "https://a.org/", "https://A.org", "https://u@a.org"])
def test_what_no_browser_sends_as_an_origin_is_refused(origin):
    with pytest.raises(ConfigError, match=r"SHRINKML_ALLOWED_ORIGINS: String should match .*`shrinkml settings`"):
        read_settings(allowed_origins=[origin])


def test_every_setting_and_every_limit_is_listed_once_with_its_use():
    found = listed(Settings(port=1, limits=Limits(jobs_waiting=3)))
    names = [
        *(name for name in Settings.model_fields if name != "limits"),
        *(f"limits.{n}" for n in Limits.model_fields),
    ]
    assert [one.name for one in found] == names
    assert all(one.words for one in found)
    assert Setting("port", "SHRINKML_PORT", 1, 8765, words_of("port")) in found
    assert Setting("limits.jobs_waiting", variable_of("limits"), 3, 16, "Jobs that may wait.") in found
