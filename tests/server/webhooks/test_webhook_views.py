import pytest
from pydantic import ValidationError

from server.webhooks.endpoints import new_endpoint
from server.webhooks.webhook_views import NewWebhook, WebhookRequest, WebhookView


def test_a_url_that_is_none_is_refused_in_words():
    with pytest.raises(ValidationError, match="allowed: a whole URL with http or https"):
        WebhookRequest(url="ftp://a.org/")
    with pytest.raises(ValidationError, match="at most 2048 characters"):
        WebhookRequest(url="http://a.org/" + "x" * 2048)
    with pytest.raises(ValidationError, match=r"it has \d+ characters as a URL; allowed: 2048"):
        WebhookRequest(url="http://a.org/" + "é" * 1000)


def test_the_secret_is_in_the_view_of_a_new_endpoint_alone():
    endpoint = new_endpoint("https://a.org/", "anna")
    assert NewWebhook.model_validate(endpoint, from_attributes=True).secret == endpoint.secret
    assert endpoint.secret not in WebhookView.of(endpoint).model_dump_json()
