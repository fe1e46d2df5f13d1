import math

from agents.pipeline.stages.steps.factorize_stage import save_factorized
from agents.search.workspace import read_problem
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage import checkpoint


def test_the_checkpoint_has_the_ranks_of_the_plan_and_came_of_the_original(materials, pose_search, tmp_path):
    pose_search(materials, tmp_path, materials.original, 1.5)
    decision = read_problem(tmp_path).decisions[0]
    plan = CompressionPlan.of_ranks({decision.name: 2})
    save_factorized(materials, tmp_path / "model", start=materials.original, workspace=tmp_path, plan=plan)
    found = checkpoint.inspect(tmp_path / "model")
    assert found.plan == plan
    assert found.provenance["compressed_from"] == checkpoint.inspect(materials.original).digest
    saved = checkpoint.stored_parameters(materials.original) - checkpoint.stored_parameters(tmp_path / "model")
    assert saved == math.prod(decision.shape) - 2 * sum(decision.shape)
