import json

import pytest

from agents.pipeline.folder.policies import first_policies, keep_policy, policies_of
from agents.pipeline.folder.run_folder import RunFolder
from agents.search.search_result import SearchResult, Trial
from agents.strategies.model_based.kept_policy import read_policy, write_policy
from envs.toys import coupled
from shrinkml.errors import ConfigError
from shrinkml.plan.compression_plan import CompressionPlan
from tests.agents.toy_search import search, telling


@pytest.fixture(scope="module")
def policies():
    """Two, of searches with different seeds."""
    toy = telling(coupled())
    return [search("dyna", toy, evaluations=12, seed=seed).policy for seed in (1, 2)]


def result(strategy, seed, wer, policy=None):
    trial = Trial(CompressionPlan(), wer, 100)
    return SearchResult(strategy, seed, trial, (trial,), policy)


def job(tiny_job, path):
    search = {"strategy": "dyna", "seeds": 2, "policy": str(path), "baselines": ["surrogate", "greedy"]}
    return tiny_job(search=search, seed=5)


def test_every_seed_of_the_jobs_strategy_begins_with_the_named_policy_and_no_other_search_does(
    tiny_job, tmp_path, policies
):
    write_policy(policies[0], tmp_path / "kept.json")
    found = first_policies(RunFolder(tmp_path), job(tiny_job, tmp_path / "kept.json"))
    assert found == {("dyna", 5): policies[0], ("dyna", 6): policies[0]}
    assert first_policies(RunFolder(tmp_path), tiny_job()) == {}


def test_a_resumed_job_begins_with_the_policy_that_it_first_read(tiny_job, tmp_path, policies):
    named, folder = tmp_path / "kept.json", RunFolder(tmp_path)
    spec = job(tiny_job, named)
    with pytest.raises(ConfigError, match=r"search.policy: .*kept.json cannot be read"):
        first_policies(folder, spec)
    write_policy(policies[0], named)
    first = first_policies(folder, spec)
    write_policy(policies[1], named)
    assert first_policies(folder, spec) == first
    named.unlink()
    assert first_policies(folder, spec) == first


def test_each_search_goes_on_from_its_own_policy(policies):
    results = [result("dyna", 1, 0.5, policies[0]), result("dyna", 2, 0.4, policies[1]), result("random", 1, 0.1)]
    assert policies_of(results) == {("dyna", 1): policies[0], ("dyna", 2): policies[1]}


def test_the_policy_of_the_jobs_best_search_is_kept_whatever_a_baseline_found(tmp_path, policies):
    results = [result("dyna", 1, 0.5, policies[0]), result("dyna", 2, 0.4, policies[1]), result("random", 1, 0.1)]
    keep_policy(RunFolder(tmp_path), "dyna", results)
    assert read_policy(tmp_path / "policy.json") == policies[1] != policies[0]


def test_a_job_whose_strategy_learns_none_keeps_none_even_if_a_baseline_did(tmp_path, policies):
    keep_policy(RunFolder(tmp_path), "random", [result("random", 1, 0.1), result("dyna", 1, 0.5, policies[0])])
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == "[]"
