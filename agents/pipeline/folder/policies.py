"""The policies that the searches of a job go on from, and the one that is kept for other jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.pipeline.folder.run_folder import RunFolder
from agents.search.search_result import Policy, SearchResult, winner
from agents.strategies.model_based.kept_policy import read_policy, write_policy
from shrinkml.job import JobSpec

Policies = Mapping[tuple[str, int], Policy]  # by strategy and seed


def first_policies(folder: RunFolder, spec: JobSpec) -> Policies:
    """For every seed of the job's strategy the policy that the job names, as it was when the job first asked.

    Raises:
        ConfigError: there is none.
    """
    if spec.search.policy is None:
        return {}
    if not folder.first_policy.exists():  # the file may change while the job runs
        write_policy(read_policy(Path(spec.search.policy)), folder.first_policy)
    policy = read_policy(folder.first_policy)
    return {(name, seed): policy for name, seed in spec.search.runs(spec.seed) if name == spec.search.strategy}


def policies_of(results: Sequence[SearchResult]) -> Policies:
    """The policy that each of the searches has learned, where it has learned one."""
    return {(result.strategy, result.seed): result.policy for result in results if result.policy is not None}


def keep_policy(folder: RunFolder, strategy: str, results: Sequence[SearchResult]) -> None:
    """Write what the best search with `strategy` has learned, if that is a policy, for other jobs to start from."""
    policy = winner([result for result in results if result.strategy == strategy]).policy
    if policy is not None:
        write_policy(policy, folder.policy)
