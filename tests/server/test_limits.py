import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from server.limits import DEFAULT_LIMITS, Limits, parse_limits
from shrinkml.errors import ConfigError


def test_limits_that_are_not_set_have_their_defaults():
    assert parse_limits([]) == DEFAULT_LIMITS
    assert parse_limits(["jobs_waiting=4", "request_s=2.5"]) == Limits(jobs_waiting=4, request_s=2.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("jobs=4", "jobs: Extra inputs are not permitted.*known: body_bytes, list_items,"),
        ("jobs_waiting=0", "jobs_waiting: Input should be greater than or equal to 1"),
        ("jobs_waiting=many", r"jobs_waiting: .*got 'many'"),
        ("job_hours=inf", "job_hours: Input should be a finite number"),
        ("jobs_waiting", "jobs_waiting: "),
    ],
)
def test_a_limit_that_there_is_not_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        parse_limits([wrong])


@pytest.mark.parametrize("name", Limits.model_fields)
def test_every_limit_has_a_default_and_a_lowest_value(name):
    assert Limits.model_fields[name].description
    with pytest.raises(ValidationError, match="greater than"):
        Limits(**{name: -1})


def test_the_document_lists_every_limit_with_its_default():
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \| (.*) \|$", text, re.MULTILINE)
    documented = {name: (float(default.replace(",", "")), words) for name, default, words in rows}
    assert documented == {name: (field.default, field.description) for name, field in Limits.model_fields.items()}
