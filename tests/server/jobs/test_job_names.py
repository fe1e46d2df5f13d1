import pytest

from agents.pipeline.exports.export_table import EXPORTS
from agents.strategies.strategies import STRATEGIES
from envs.rewards import REWARDS
from server.jobs.job_names import NAMED_FIELDS, check_names, describe_names
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.errors import UnknownNameError
from shrinkml.job import JobSpec, parse_job
from shrinkml.speech.normalisers import NORMALISERS

TABLES = {
    "search.strategy": STRATEGIES,
    "search.baselines": STRATEGIES,
    "search.reward": REWARDS,
    "factorizer": FACTORIZERS,
    "normaliser": NORMALISERS,
    "export": EXPORTS,
}


def property_of(http, path):
    """The JSON schema of a job's field, in the description that the service gives of itself."""
    components = http.get("/openapi.json").json()["components"]["schemas"]
    section, _, name = path.rpartition(".")
    return components["SearchSpec" if section else "JobSpec"]["properties"][name]


def test_every_field_that_takes_names_is_known_with_its_table():
    assert {named.path: named.table for named in NAMED_FIELDS} == TABLES


@pytest.mark.parametrize("path", TABLES)
def test_the_service_lists_the_names_of_the_table(http, path):
    (named,) = (named for named in NAMED_FIELDS if named.path == path)
    assert property_of(http, path)["description"].endswith(f"Known: {named.known}.")


def test_names_are_listed_in_order_with_their_words():
    known = {named.path: named.known for named in NAMED_FIELDS}
    assert known["factorizer"] == "svd, whitened, pca"
    assert known["export"].startswith(
        "onnx (graphs for ONNX Runtime, low rank as it is, few bits and zeros written out), sherpa-onnx ("
    )


def test_a_row_that_is_added_is_listed(monkeypatch):
    monkeypatch.setitem(REWARDS, "toy", REWARDS["budget_wall"])
    schema = JobSpec.model_json_schema(ref_template="#/components/schemas/{model}")
    components = {**schema["$defs"], "JobSpec": schema}
    describe_names(components)
    assert components["SearchSpec"]["properties"]["reward"]["description"].endswith(", log_damage, toy.")


def test_names_of_the_tables_pass(request_body):
    check_names(parse_job(request_body))


def test_every_unknown_name_is_reported_with_its_field(request_body):
    search = {"strategy": "surogate", "baselines": ["uniform", "magic"], "reward": "more"}
    spec = parse_job({**request_body, "search": search, "factorizer": "qr", "export": ["onnx", "wav"]})
    with pytest.raises(UnknownNameError) as caught:
        check_names(spec)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "search.strategy",
        "search.baselines.1",
        "search.reward",
        "factorizer",
        "export.1",
    ]
    with pytest.raises(UnknownNameError, match=r"no strategy named 'surogate'; known: .* Did you mean 'surrogate'\?"):
        check_names(spec)
