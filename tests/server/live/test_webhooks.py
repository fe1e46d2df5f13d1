"""Webhooks of a real server: what its own process and its worker write, one receiver hears."""

import json

import httpx
from standardwebhooks import Webhook

from tests.server.receiver import receiving


def test_a_job_is_told_from_its_submission_to_its_end(live, request_body):
    with receiving() as receiver:
        hear(live, receiver, request_body)


def hear(live, receiver, request_body) -> None:
    made = httpx.post(f"{live.url}/v1/webhooks", json={"url": receiver.url}).raise_for_status().json()
    job = live.client.submit(request_body)
    told = []
    while not told or told[-1]["type"] != "job.succeeded":
        headers, body = receiver.next()
        message = Webhook(made["secret"]).verify(body, headers)
        if message["data"]["job_id"] == job.id:
            told.append(message)
    assert [one["type"] for one in told] == ["job.queued", "job.running", "job.succeeded"]
    states = [entry for entry in job.past_events() if entry.event.kind == "state"]
    assert [one["data"]["sequence"] for one in told] == [entry.sequence for entry in states]
    deliveries = f"{live.url}/v1/webhooks/{made['id']}/deliveries"
    live.wait_for(lambda: {one["state"] for one in httpx.get(deliveries).json()["items"]} == {"delivered"})
    assert made["secret"] not in (live.home / "server.log").read_text() + json.dumps(job.status())
    httpx.delete(f"{live.url}/v1/webhooks/{made['id']}").raise_for_status()
