import logging

import pytest

from server.http.request_ids import HEADER
from server.log_context import JOB_ID, REQUEST_ID


@pytest.fixture
def told(caplog):
    """The request and the job that each message was logged for, as (message, request id, job id)."""
    found = []

    def note(record: logging.LogRecord) -> bool:
        found.append((record.getMessage(), REQUEST_ID.get(), getattr(record, "job_id", JOB_ID.get())))
        return True

    caplog.handler.addFilter(note)
    with caplog.at_level(logging.INFO, logger="server"):
        yield found
    caplog.handler.removeFilter(note)


def test_a_well_formed_id_is_taken_over_and_told_in_the_answer(http):
    assert http.get("/v1/version", headers={HEADER: "ci-run_7.a"}).headers[HEADER] == "ci-run_7.a"


@pytest.mark.parametrize("brought", ["", "a b", "a\tb", "x" * 65, '"}', "a;b"])
def test_an_id_that_is_not_well_formed_is_replaced(http, brought):
    given = http.get("/v1/version", headers={HEADER: brought}).headers[HEADER]
    assert len(given) == 16
    assert given != brought


def test_requests_without_an_id_get_one_each(http):
    given = {http.get("/v1/version").headers[HEADER] for _ in range(5)}
    assert len(given) == 5


@pytest.mark.parametrize("path", ["/v2", "/v1/jobs?limit=0", "/v1/jobs/nobody"])
def test_refusals_have_an_id_too(http, path):
    assert http.get(path, headers={HEADER: "mine"}).headers[HEADER] == "mine"


def test_a_request_that_the_guard_refuses_has_an_id_too(http):
    response = http.get("/v1/version", headers={HEADER: "mine", "Host": "elsewhere.example"})
    assert (response.status_code, response.headers[HEADER]) == (421, "mine")


def test_lines_of_the_log_name_their_request_and_their_job(http, told, request_body):
    job_id = http.post("/v1/jobs", json=request_body, headers={HEADER: "first"}).json()["id"]
    http.post(f"/v1/jobs/{job_id}/cancel", headers={HEADER: "second"})
    http.delete(f"/v1/jobs/{job_id}", headers={HEADER: "third"})
    http.get(f"/v1/jobs/{job_id}", headers={HEADER: "fourth"})
    assert [(request_id, job) for _, request_id, job in told] == [
        ("first", job_id),  # is queued
        ("first", job_id),  # submitted
        ("second", job_id),
        ("third", job_id),
        ("fourth", job_id),
    ]
    assert told[-1][0] == f"refused GET '/v1/jobs/{job_id}': unknown-job (404)"


def test_an_unforeseen_error_is_logged_and_answered_under_its_id(http, engine, told):
    with engine.begin() as db:
        db.exec_driver_sql("DROP TABLE job_events")
        db.exec_driver_sql("DROP TABLE jobs")
    response = http.get("/v1/jobs", headers={HEADER: "mine"})
    assert (response.status_code, response.headers[HEADER]) == (500, "mine")
    assert response.json()["detail"].endswith("its log holds the details of request mine")
    assert ("unforeseen error in GET '/v1/jobs'", "mine", None) in told
