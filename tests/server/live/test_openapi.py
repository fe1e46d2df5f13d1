"""Every operation of the OpenAPI document, asked by schemathesis with what fits its description and what does not."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.server.live.conftest import LiveServer

schemathesis = pytest.importorskip("schemathesis", reason="it is among the development requirements")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def api(live: LiveServer):
    """The document of a running server."""
    return schemathesis.openapi.from_url(f"{live.url}/openapi.json")


@pytest.fixture(scope="module")
def known(live: LiveServer) -> Iterator[str]:
    """The id of a job that has succeeded: otherwise nearly all that is asked for is unknown."""
    body = {"model": "model", "data": {"dev": "dev.jsonl", "test": "test.jsonl"}, "goal": {"compression_ratio": 3.0}}
    live.wait_until_well()
    job = live.client.submit(body)
    job.wait()
    return job.id


schema = schemathesis.pytest.from_fixture("api")


def ask(case, known: str) -> None:
    for about_known in (False, True):
        if about_known and (case.method == "DELETE" or "job_id" not in (case.path_parameters or {})):
            continue
        if about_known:
            case.path_parameters["job_id"] = known
        response = case.call(timeout=240)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            assert response.headers["content-type"] == [PROBLEM]
            assert set(response.json()) >= {"type", "title", "status", "detail", "instance"}


@schema.parametrize()
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_it_is_described(case, known):
    ask(case, known)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_it_is_described_whatever_is_asked(case, known):
    ask(case, known)
