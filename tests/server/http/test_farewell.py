import asyncio
import json

import pytest

from server.http.farewell import Farewell


def cut_off(*before) -> list[dict]:
    """What is sent in answer to a request that is cancelled after the messages `before`."""
    sent = []

    async def application(scope, receive, send):
        for message in before:
            await send(message)
        await asyncio.sleep(600)

    async def send(message):
        sent.append(message)

    async def ask():
        task = asyncio.create_task(
            Farewell(application)({"type": "http", "method": "POST", "path": "/v1/jobs"}, None, send)
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    return sent


def test_a_request_that_is_cut_off_is_told_that_its_end_is_not_known():
    start, body = cut_off()
    assert (start["status"], json.loads(body["body"])["type"]) == (503, "urn:shrinkml:problem:stopping")
    assert "with the same Idempotency-Key" in json.loads(body["body"])["detail"]


def test_an_answer_that_has_begun_is_left_as_it_is():
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    assert cut_off(begun) == [begun]
