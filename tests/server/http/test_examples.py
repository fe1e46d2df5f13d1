import pytest

from server.http import problems, views
from server.http.app import HTTP_STATUS, create_app
from server.http.examples import REQUEST, add_examples, examples
from server.jobs.failures import code_of
from server.jobs.job_moves import require_room
from server.service_errors import QueueFullError
from server.webhooks import webhook_views
from shrinkml.job import parse_job


@pytest.fixture(scope="module")
def schema():
    return create_app(services=None).openapi()


def sent_and_answered(schema) -> set[str]:
    """The schemas of all bodies and answers."""
    contents = [
        content
        for operations in schema["paths"].values()
        for operation in operations.values()
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in part.get("content", {}).values()
    ]
    return {content["schema"]["$ref"].rpartition("/")[2] for content in contents if "schema" in content}


def test_all_that_is_sent_and_answered_has_an_example_in_the_description(schema):
    components = schema["components"]["schemas"]
    assert sent_and_answered(schema) == set(examples())
    assert {name: components[name]["examples"] for name in examples()} == {
        name: [example] for name, example in examples().items()
    }


@pytest.mark.parametrize("name", sorted(set(examples()) - {"JobSpec", "Problem"}))
def test_an_example_of_an_answer_holds_every_field_and_fits(name, schema):
    example = examples()[name]
    assert set(example) == set(schema["components"]["schemas"][name]["properties"])
    view = getattr(views, name, None) or getattr(webhook_views, name)
    assert view.model_validate(example).model_dump(mode="json") == example


def test_the_example_of_a_request_is_a_valid_job():
    assert parse_job(REQUEST).goal.compression_ratio == 5.0


def test_the_example_of_a_problem_is_one_that_the_server_tells():
    problem = problems.Problem.model_validate(examples()["Problem"])
    assert (problem.type, problem.status) == (problems.type_uri(code_of(QueueFullError)), HTTP_STATUS[QueueFullError])
    with pytest.raises(QueueFullError) as told:
        require_room(16, 16)
    assert problem.detail == str(told.value)


def test_an_example_is_put_beside_what_a_schema_says():
    components = {name: {"type": "object"} for name in examples()}
    add_examples(components)
    assert components["Health"] == {"type": "object", "examples": [{"status": "ok"}]}
