"""Every error is a problem document that says what to do."""

import json
import logging
import socket
from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.artefacts.artefact_store import ArtefactKind
from server.http.app import HTTP_STATUS
from server.jobs.failures import code_of
from server.service_errors import HomeLostError
from server.stores.sql_store import SqlJobStore
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
        "/docs shows what to send"
        in problem(http.post("/v1/jobs", content=b"{", headers=headers), 400, "malformed-json")["detail"]
    )


def test_a_body_that_is_not_marked_as_json_is_told_the_header(http):
    found = problem(http.post("/v1/jobs", content=b"{}"), 422, "invalid-request")
    assert "send it with the header Content-Type: application/json" in found["detail"]


def test_a_body_that_is_too_large_is_a_problem(http):
    response = http.post("/v1/jobs", content=b" " * (128 * 1024 + 1), headers={"Content-Type": "application/json"})
    assert "at most 131072 bytes" in problem(response, 413, "body-too-large")["detail"]


def test_a_body_of_unknown_size_is_a_problem(http):
    response = http.post("/v1/jobs", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert "Content-Length" in problem(response, 411, "length-required")["detail"]


def test_of_many_wrong_fields_the_first_are_told_and_the_others_counted(http, request_body):
    body = {**request_body, **{f"wrong{i}": i for i in range(200)}}
    response = http.post("/v1/jobs", json=body)
    found = problem(response, 422, "invalid-request")
    assert [e["field"] for e in found["errors"]] == [f"wrong{i}" for i in range(20)]
    assert found["detail"].endswith("; and 180 more")
    assert len(response.content) < 10_000


def test_as_many_wrong_fields_as_are_told_leave_none_to_be_counted(http, request_body):
    body = {**request_body, **{f"wrong{i}": i for i in range(20)}}
    found = problem(http.post("/v1/jobs", json=body), 422, "invalid-request")
    assert len(found["errors"]) == 20
    assert "more" not in found["detail"]
    found = problem(http.post("/v1/jobs", json={**body, "wrong20": 20}), 422, "invalid-request")
    assert len(found["errors"]) == 20
    assert found["detail"].endswith("; and 1 more")


@pytest.mark.parametrize(
    "wrong",
    [
        {"search": {"baselines": ["wrong"] * 256}},
        {"search": {"baselines": [1] * 256}},
        {"search": {"baselines": ["w" * 400] * 256}},
        {"export": ["x" * 64] * 256},
        {"x" * 100_000: 1},
        {"search": {"strategy": "x" * 100_000}},
        {"model": "x" * 100_000},
        {"steps": [[[0]]] * 256},
        {"layers": {"only": "x" * 100_000}},
    ],
)
def test_no_answer_is_much_longer_than_its_request_is_allowed_to_be(http, request_body, wrong):
    response = http.post("/v1/jobs", json={**request_body, **wrong})
    assert response.status_code == 422
    assert len(response.content) < 30_000


def test_a_list_of_more_items_than_any_needs_is_a_problem(http, request_body):
    body = {**request_body, "search": {"baselines": ["wrong"] * 257}}
    assert "more than 256 items" in problem(http.post("/v1/jobs", json=body), 422, "list-too-long")["detail"]


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"seed": ' + b"1" * 5000 + b"}", b'{"a":' * 20_000, b"\xff", b"nul"])
def test_a_body_that_no_reader_of_json_bears_is_a_problem(http, body):
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"seed": True}, "seed", "is true, which is no number"),
        ({"goal": {"compression_ratio": True}}, "goal.compression_ratio", "is true, which is no number"),
        ({"steps": [True]}, "steps", "is true, which is no number"),
        ({"vocabulary": False}, "vocabulary", "allowed: 'all', 'auto', or a number of tokens"),
        ({"goal": {"compression_ratio": 10**400}}, "goal.compression_ratio", "is a number beyond 9007199254740992"),
        ({"steps": [10**400]}, "steps", "is a number beyond"),
        ({"finetune": {"epochs": 10**400}}, "finetune.epochs", "is a number beyond"),
    ],
)
def test_a_number_is_a_number_and_one_that_can_be_kept(http, request_body, change, field, message):
    body = json.dumps({**request_body, **change})
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    (wrong,) = problem(response, 422, "invalid-request")["errors"]
    assert wrong["field"] == field
    assert message in wrong["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_is_finite(http, request_body, number):
    body = json.dumps(request_body).replace("3.0", number)
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 422, "invalid-request")["errors"][0]["field"] == "goal.compression_ratio"


def test_whatever_can_be_got_can_be_asked_for_its_head(http, store, artefacts, spec):
    job, _ = store.submit(spec, max_queued=9)
    for name, kind in {"report.json": "report", "policy.json": "policy", "final.tar": "checkpoint"}.items():
        artefacts.put(job.id, name, ArtefactKind(kind), lambda stream: stream.write(b"{}"))
    paths = [path for path, methods in http.get("/openapi.json").json()["paths"].items() if "get" in methods]
    assert len(paths) > 10
    webhook_id = http.post("/v1/webhooks", json={"url": "https://example.org/"}).json()["id"]
    archive = {"name": "mine", "bytes": 9, "sha256": "0" * 64}
    upload_id = http.post("/v1/models", json=archive).json()["id"]
    ids = {"job_id": job.id, "name": "final.tar", "webhook_id": webhook_id, "upload_id": upload_id}
    for path in (path.format(**ids) for path in paths):
        got, head = http.get(path), http.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert http.head(f"/v1/jobs/{job.id}/events", headers={"Accept": "text/event-stream"}).content == b""
    assert http.head("/v1/jobs/nobody").status_code == 404


def test_a_home_that_is_gone_is_told_and_nothing_is_taken_on(http, services, server, request_body):
    def gone():
        raise HomeLostError("the folder is gone")

    server[1].state.services = replace(services, check_home=gone)
    for path in ("/healthz", "/readyz", "/v1/jobs"):
        problem(http.get(path), 503, "home-lost")
    problem(http.post("/v1/jobs", json=request_body), 503, "home-lost")


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


def test_a_database_that_is_away_is_worth_another_try(http, services, server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nobody = sa.create_engine(f"postgresql+psycopg://anna:secret@127.0.0.1:{port}/shrinkml")
    server[1].state.services = replace(services, store=SqlJobStore(nobody))
    response = http.get("/v1/jobs")
    assert problem(response, 503, "database-away")["detail"] == "the database of the server does not answer; try again"
    assert response.headers["Retry-After"] == "1"


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
