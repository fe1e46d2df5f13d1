import json

import pytest

from server.http.app import HTTP_STATUS
from server.http.problems import TITLES, FieldProblem, documented, problem_response, title_of, type_uri
from server.jobs.failures import code_of
from server.service_errors import ArchiveError
from shrinkml import errors


def test_a_problem_is_a_document_of_rfc_9457():
    response = problem_response(409, "key-reused", "key 'k' belongs to another job", instance="/v1/jobs")
    assert (response.status_code, response.media_type) == (409, "application/problem+json")
    assert json.loads(response.body) == {
        "type": "urn:shrinkml:problem:key-reused",
        "title": "Idempotency key used before",
        "status": 409,
        "detail": "key 'k' belongs to another job",
        "instance": "/v1/jobs",
    }


def test_wrong_fields_and_headers_are_told_beside_it():
    wrong = (FieldProblem(field="goal", message="missing"),)
    response = problem_response(
        422, "invalid-request", "no goal", instance="/", errors=wrong, headers={"Retry-After": "3"}
    )
    assert json.loads(response.body)["errors"] == [{"field": "goal", "message": "missing"}]
    assert response.headers["Retry-After"] == "3"


@pytest.mark.parametrize(("code", "title"), [("plan", "No plan fits"), ("queue-full", "Queue full"), ("x", "X")])
def test_a_code_without_a_title_of_its_own_is_told_in_its_words(code, title):
    assert title_of(code) == title
    assert type_uri(code) == f"urn:shrinkml:problem:{code}"


def test_every_title_belongs_to_an_error_that_is_raised():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)} | set(HTTP_STATUS)
    kinds |= {ArchiveError}  # which an upload that is refused tells of
    assert set(TITLES) - {code_of(kind) for kind in kinds} == {"internal"}


def test_a_documented_status_refers_to_the_problem_in_the_description():
    (described,) = documented(404).values()
    assert described["description"] == "Not Found"
    assert described["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_half_characters_are_written_out():
    assert json.loads(problem_response(403, "forbidden-path", "no \udcff", instance="/").body)["detail"] == "no \\udcff"
