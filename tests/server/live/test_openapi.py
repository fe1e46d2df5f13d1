"""Every operation of the OpenAPI document, asked by schemathesis with what fits its description and what does not."""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from server.http.app import create_app
from tests.server.live.conftest import LiveServer

schemathesis = pytest.importorskip("schemathesis", reason="it is among the development requirements")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PROBLEM = "application/problem+json"
OPERATIONS = [
    (method.upper(), path)
    for path, methods in create_app(services=None).openapi()["paths"].items()
    for method in methods
]


@pytest.fixture(scope="module")
def document(live: LiveServer):
    """The description that a running server gives of itself."""
    return schemathesis.openapi.from_url(f"{live.url}/openapi.json")


@pytest.fixture(scope="module")
def known(live: LiveServer) -> dict[str, str]:
    """Ids of a job that has succeeded, and of uploads that have begun: else nearly all that is asked for is unknown."""
    body = {"model": "model", "data": {"dev": "dev.jsonl", "test": "test.jsonl"}, "goal": {"compression_ratio": 3.0}}
    live.wait_until_well()
    job = live.client.submit(body)
    job.wait()
    archive = {"name": "x.tar", "bytes": 100, "sha256": "0" * 64}
    uploads = {kind: httpx.post(f"{live.url}/v1/{kind}", json=archive).json()["id"] for kind in ("models", "datasets")}
    return {"job_id": job.id, **uploads}


def ask(case, known: dict[str, str]) -> None:
    """Have the server answer `case`, and the same about a job or an upload that there is."""
    answer(case)
    named = (case.path_parameters or {}).keys() & {"job_id", "upload_id"}
    for name in named if case.method != "DELETE" else ():
        case.path_parameters[name] = known[name if name == "job_id" else case.path.split("/")[2]]
        answer(case)


def answer(case) -> None:
    response = case.call(timeout=240)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert response.headers["content-type"] == [PROBLEM]
        if case.method != "HEAD":
            assert set(response.json()) >= {"type", "title", "status", "detail", "instance"}


@pytest.mark.parametrize("examples", [pytest.param(4, id="few"), pytest.param(300, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fits", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_answers_as_it_is_described(document, known, method, path, fits, examples):
    operation = document[path][method]
    if fits is GenerationMode.NEGATIVE and not (operation.query or operation.headers or operation.body):
        pytest.skip("takes nothing that could be wrong: every text is a job's id, or no job's")

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=fits))
    def check(case) -> None:
        ask(case, known)

    try:
        check()
    except Unsatisfiable:
        assert fits is GenerationMode.NEGATIVE, "what fits can be made"
        pytest.skip("takes nothing that could be wrong: every text will do in its headers")
