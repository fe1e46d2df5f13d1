from pathlib import Path

import pytest
from pydantic import ValidationError

from server.limits import DEFAULT_LIMITS
from server.settings import Settings, bracketed, check_protected
from shrinkml.errors import ConfigError


def test_the_defaults_serve_this_machine_alone_and_fetch_nothing():
    settings = Settings()
    assert (settings.host, settings.port, settings.limits) == ("127.0.0.1", 8765, DEFAULT_LIMITS)
    check_protected(settings, has_tokens=False)
    assert settings.data_roots == (Path(),)
    assert not settings.allow_hub


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
