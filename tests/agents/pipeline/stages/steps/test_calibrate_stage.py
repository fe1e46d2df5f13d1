import math

import pytest
import torch

from agents.pipeline.materials import Materials
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.search.workspace import StoredDecompositions, read_problem
from agents.strategies.baselines.least_expected import least_expected
from envs.budget import Budget
from envs.rank_options import rank_menus
from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import current_plan
from shrinkml.job import LayersSpec
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


def test_a_layer_that_hears_nothing_stays_as_it_is_and_is_told(materials, tmp_path, caplog):
    model = checkpoint.load(materials.original)
    with torch.no_grad():
        model.readout.weight.zero_()
        model.readout.bias.zero_()  # all that the output hears
    checkpoint.save(model, tmp_path / "deaf")
    options = {"ratio": 1.2, "factorizer": "pca", "cache": tmp_path / "evaluations.sqlite"}
    (tmp_path / "workspace").mkdir()
    found = make_workspace(materials, tmp_path / "workspace", start=tmp_path / "deaf", **options)
    assert list(found.silent) == ["output.weight"]
    choices = {decision.name: decision.choices for decision in read_problem(tmp_path / "workspace").decisions}
    assert [choice.rank for choice in choices["output.weight"]] == [None]
    assert len(choices["readout.weight"]) > 1
    assert "output.weight" in caplog.text


def test_no_time_goes_to_layers_that_stay_as_they_are(materials, half, tmp_path):
    left = materials.left_by(LayersSpec(except_=["encoder", "embedding"]))
    options = {"ratio": 1.2, "factorizer": "pca", "cache": tmp_path / "evaluations.sqlite", "left": left}
    make_workspace(materials, tmp_path, start=half, **options)
    problem, now = read_problem(tmp_path), current_plan(checkpoint.load(half))
    assert set(StoredDecompositions(tmp_path)) == {it.name for it in problem.decisions} - set(left)
    for decision in problem.decisions:
        if decision.name in left:
            assert decision.choices == (now.choice(decision.name),)
        else:
            assert len(decision.choices) > 1
    small = factorize(
        checkpoint.load(half), Budget.of(problem).plan(Budget.of(problem).cheapest), StoredDecompositions(tmp_path)
    )
    assert all(current_plan(small).choice(name) == now.choice(name) for name in left)


@pytest.mark.parametrize("levers", [("units",), ("rank", "units")], ids="-".join)
def test_units_of_recurrent_layers_are_searched_and_cut_again_in_a_later_step(materials, tmp_path, levers):
    options = {"factorizer": "pca", "cache": tmp_path / "evaluations.sqlite", "levers": levers}
    start, ratio, recurrent = materials.original, 1.5, {"encoder.0.weight_ih_l0", "cell.weight_ih"}
    for step in ("first", "second"):
        folder = tmp_path / step
        folder.mkdir()
        make_workspace(materials, folder, start=start, ratio=ratio, **options)
        problem, known = read_problem(folder), StoredDecompositions(folder)
        followers = {it.name for it in problem.decisions if it.follower}
        assert recurrent <= followers or "rank" in levers
        budget = Budget.of(problem)
        plan = budget.plan(least_expected(budget, problem.expected_losses))
        assert problem.admits(plan)
        small = factorize(checkpoint.load(start), plan, known)
        assert current_plan(small) == plan
        materials.save(small, tmp_path / f"small-{step}")
        start, ratio = tmp_path / f"small-{step}", 2.5
        assert problem.cost(plan).parameters == checkpoint.stored_parameters(start)
