"""Over a socket: addresses registered, listed and removed, and what became of their messages."""

from dataclasses import replace

import pytest

from server.http.dependencies import SubmissionRules
from server.limits import Limits
from server.webhooks.outbox import DeliveryState, SqlOutbox

URL = "https://example.org/hook?key=1"


def test_a_webhook_is_registered_with_a_secret_that_is_shown_once(http):
    answer = http.post("/v1/webhooks", json={"url": URL})
    made = answer.json()
    assert (answer.status_code, made["url"], made["owner"]) == (201, URL, None)
    assert answer.headers["Location"] == f"/v1/webhooks/{made['id']}"
    secret = made.pop("secret")
    assert http.get(answer.headers["Location"]).json() == made
    assert http.get("/v1/webhooks").json() == {"items": [made]}
    assert secret not in http.get("/v1/webhooks").text


@pytest.mark.parametrize(
    "body",
    [{}, {"url": "ftp://a.org/"}, {"url": "x"}, {"url": 3}, {"url": URL, "secret": "s"}, {"url": "http://u:p@a.org/"}],
)
def test_what_is_no_address_is_refused_by_its_field(http, body):
    refused = http.post("/v1/webhooks", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] in ("url", "secret")
    assert http.get("/v1/webhooks").json()["items"] == []


@pytest.mark.parametrize(
    "address", ["http://localhost:9/", "http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/x"]
)
def test_an_address_that_only_this_server_reaches_is_refused_at_once(http, address):
    refused = http.post("/v1/webhooks", json={"url": address})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:shrinkml:problem:forbidden-target")
    assert "--webhook-network" in refused.json()["detail"]


def test_of_one_owner_there_are_so_many(http, services, server):
    rules = SubmissionRules(services.rules.data_roots, Limits(webhooks_per_owner=1))
    server[1].state.services = replace(services, rules=rules)
    assert http.post("/v1/webhooks", json={"url": URL}).status_code == 201
    refused = http.post("/v1/webhooks", json={"url": URL})
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:shrinkml:problem:owner-limit")


def test_a_webhook_is_removed_for_good(http):
    path = http.post("/v1/webhooks", json={"url": URL}).headers["Location"]
    assert http.delete(path).status_code == 204
    for method, part in (("GET", ""), ("GET", "/deliveries"), ("DELETE", "")):
        gone = http.request(method, f"{path}{part}")
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:shrinkml:problem:unknown-webhook")


def test_messages_are_seen_page_by_page_with_what_became_of_them(http, engine, request_body):
    made = http.post("/v1/webhooks", json={"url": URL}).json()
    job = http.post("/v1/jobs", json=request_body).json()
    http.post(f"/v1/jobs/{job['id']}/cancel")
    outbox = SqlOutbox(engine)
    (first,) = outbox.claim(4e9, most=9)
    outbox.settle(first, DeliveryState.GIVEN_UP, "the answer was 410")
    page = http.get(f"/v1/webhooks/{made['id']}/deliveries?limit=1").json()
    (newest,) = page["items"]
    assert (newest["type"], newest["state"], newest["attempts"]) == ("job.cancelled", "waiting", 0)
    assert newest["next_attempt_at"] is not None
    rest = http.get(page["next"]).json()
    (oldest,) = rest["items"]
    assert rest["next"] is None
    assert (oldest["id"], oldest["state"], oldest["problem"]) == (first.id, "given_up", "the answer was 410")
    assert (oldest["job_id"], oldest["next_attempt_at"]) == (job["id"], None)
