"""Every error is a problem document that says what to do."""

import json
import logging

import pytest

from server.http.app import HTTP_STATUS
from server.jobs.failures import code_of
from shrinkml.errors import ShrinkError


def problem(response, status: int, code: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:shrinkml:problem:{code}"
    assert body["status"] == status
    assert body["instance"] == response.request.url.path
    assert body["title"]
    return body


def test_an_unknown_path_is_a_problem(http):
    assert "GET /openapi.json" in problem(http.get("/v2/nothing"), 404, "unknown-path")["detail"]


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(http):
    response = http.delete("/v1/jobs")
    problem(response, 405, "wrong-method")
    assert response.headers["Allow"]


@pytest.mark.parametrize("part", ["", "/events", "/candidates", "/report", "/checkpoints", "/checkpoints/a.tar"])
def test_an_unknown_job_is_a_problem(http, part):
    detail = problem(http.get(f"/v1/jobs/nobody{part}"), 404, "unknown-job")["detail"]
    assert detail == "no job 'nobody'; GET /v1/jobs (or `shrinkml status`) lists the jobs of this server"


@pytest.mark.parametrize("action", ["cancel", "resume"])
def test_acting_on_an_unknown_job_is_a_problem(http, action):
    problem(http.post(f"/v1/jobs/nobody/{action}"), 404, "unknown-job")


def test_wrong_fields_are_all_named(http, request_body):
    body = {**request_body, "goal": {"compression_ratio": 0.5}, "sead": 1}
    found = problem(http.post("/v1/jobs", json=body), 422, "invalid-request")
    assert {e["field"] for e in found["errors"]} == {"goal.compression_ratio", "sead"}
    assert "greater than 1" in found["detail"]


def test_a_wrong_query_parameter_is_named(http):
    assert problem(http.get("/v1/jobs?limit=0"), 422, "invalid-request")["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("path", ["/v1/jobs?before=", "/v1/jobs/nobody/events?after="])
def test_a_number_that_no_database_holds_is_a_problem(http, path):
    problem(http.get(f"{path}{2**63}"), 422, "invalid-request")


def test_a_body_that_is_no_json_is_a_problem(http):
    headers = {"Content-Type": "application/json"}
    assert (
        "send a job like"
        in problem(http.post("/v1/jobs", content=b"{", headers=headers), 400, "malformed-json")["detail"]
    )


def test_a_body_that_is_not_marked_as_json_is_told_the_header(http):
    found = problem(http.post("/v1/jobs", content=b"{}"), 422, "invalid-request")
    assert "send it with the header Content-Type: application/json" in found["detail"]


def test_a_body_that_is_too_large_is_a_problem(http):
    response = http.post("/v1/jobs", content=b" " * (2 << 20), headers={"Content-Type": "application/json"})
    assert "at most 1048576 bytes" in problem(response, 413, "body-too-large")["detail"]


def test_a_body_of_unknown_size_is_a_problem(http):
    response = http.post("/v1/jobs", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert "Content-Length" in problem(response, 411, "length-required")["detail"]


def test_an_unforeseen_error_is_a_problem_that_tells_nothing_of_the_inside(http, engine, caplog):
    with engine.begin() as db:
        db.exec_driver_sql("DROP TABLE job_events")
        db.exec_driver_sql("DROP TABLE jobs")
    with caplog.at_level(logging.ERROR, logger="server"):
        detail = problem(http.get("/v1/jobs"), 500, "internal")["detail"]
    assert "table" not in detail
    (record,) = [record for record in caplog.records if record.name == "server.http.app"]
    assert record.getMessage() == "unforeseen error in GET '/v1/jobs'"
    assert "no such table: jobs" in caplog.text


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/v1/jobs/nobody", "unknown-job", 404),
        ("/v2", "unknown-path", 404),
        ("/v1/jobs?limit=0", "invalid-request", 422),
    ],
)
def test_a_refusal_is_logged_with_the_kind_of_its_problem(http, caplog, path, code, status):
    with caplog.at_level(logging.INFO, logger="server"):
        http.get(path)
    assert caplog.messages == [f"refused GET {path.partition('?')[0]!r}: {code} ({status})"]


def test_every_error_with_a_status_is_one_of_ours():
    assert all(issubclass(kind, ShrinkError) and 400 <= status < 600 for kind, status in HTTP_STATUS.items())


def test_codes_of_problems_differ():
    codes = [code_of(kind) for kind in HTTP_STATUS]
    assert len(set(codes)) == len(codes)


def test_the_description_knows_problems_for_every_path(http):
    described = http.get("/openapi.json").json()
    assert set(described["components"]["schemas"]["Problem"]["properties"]) >= {"type", "title", "status", "detail"}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["422"]["content"], path


@pytest.mark.parametrize("changes", [{"language": "\ud800"}, {"\ud800": 1}, {"search": {"reward": "a\udfff"}}])
def test_half_characters_are_refused_and_the_jobs_are_listed(http, request_body, changes):
    body = json.dumps({**request_body, **changes})  # in ASCII, with escapes
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert "ud" in problem(response, 422, "invalid-request")["detail"]
    assert http.get("/v1/jobs").json()["items"] == []
