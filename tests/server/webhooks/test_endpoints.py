import base64

import pytest

from server.webhooks.endpoints import endpoint_url, new_endpoint, unknown_endpoint


def test_every_endpoint_has_a_secret_of_its_own_that_is_not_shown_by_chance():
    first, second = (new_endpoint("https://a.org/", "anna") for _ in range(2))
    assert first.id != second.id
    assert first.secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(first.secret.removeprefix("whsec_"))) <= 64, "as Standard Webhooks has it"
    assert first.secret != second.secret
    assert first.secret not in repr(first)


@pytest.mark.parametrize("url", ["https://a.org/hook?key=1", "http://127.0.0.1:8080/", "http://[::1]:9/x"])
def test_a_whole_url_is_taken(url):
    assert str(endpoint_url(url)) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "allowed: a whole URL"),
        ("a.org/hook", "allowed: a whole URL"),
        ("https:///hook", "allowed: a whole URL"),
        ("file:///etc/passwd", "allowed: a whole URL with http or https"),
        ("gopher://a.org/", "allowed: a whole URL with http or https"),
        ("http://a.org:port/", "it is no URL"),
        ("http://a.org/\n", "it is no URL"),
        ("http://u:p@a.org/", "without a user, a password and a fragment"),
        ("http://a.org/#x", "without a user, a password and a fragment"),
    ],
)
def test_all_else_is_refused(url, message):
    with pytest.raises(ValueError, match=message):
        endpoint_url(url)


def test_an_unknown_endpoint_is_told_with_where_they_are_listed():
    assert "no webhook 'x'; GET /v1/webhooks" in str(unknown_endpoint("x"))
