import math

import pytest

from agents.pipeline.materials import Materials
from agents.search.workspace import read_problem
from envs.rank_options import rank_menus
from shrinkml.compression.sites import current_plan
from shrinkml.storage import checkpoint


def test_a_later_step_can_only_lower_ranks(materials, half, tmp_path, pose_search):
    pose_search(materials, tmp_path, half, 4.0)
    problem, ranks = read_problem(tmp_path), current_plan(checkpoint.load(half))
    dense = sum(math.prod(decision.shape) for decision in problem.decisions)
    assert dense + problem.other.parameters == checkpoint.stored_parameters(materials.original)
    assert all(rank_menus(problem)[name][-1] == rank for name, rank in ranks.ranks.items())


def test_ratios_count_from_the_original_also_when_that_is_factorized_itself(spec, half, tmp_path, pose_search):
    materials = Materials(str(half), spec.data, seed=0, should_stop=lambda: False)
    pose_search(materials, tmp_path, half, 1.25)
    problem = read_problem(tmp_path)
    assert problem.limit == pytest.approx(checkpoint.stored_parameters(half) / 1.25, abs=1)
