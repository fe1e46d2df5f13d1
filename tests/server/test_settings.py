from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import Settings


def test_the_defaults_serve_this_machine_alone_and_fetch_nothing():
    settings = Settings()
    assert (settings.host, settings.port, settings.max_queued) == ("127.0.0.1", 8765, 16)
    assert settings.data_roots == (Path(),)
    assert not settings.allow_hub


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": 65536}, "less than or equal to 65535"),
        ({"port": -1}, "greater than or equal to 0"),
        ({"max_queued": 0}, "greater than or equal to 1"),
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
