import shutil

import pytest

from agents.search.model_evaluator import shrunk
from agents.search.workspace import (
    StoredDecompositions,
    open_workspace,
    read_problem,
    read_proxy,
    write_factors,
    write_workspace,
)
from envs.menus import build_menus
from envs.problem import RankProblem
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import model_cost
from shrinkml.measure.evaluation import count_parameters, word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import parameter_prices
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load
from shrinkml.training.dataset import load_dataset


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture(scope="module")
def proxy(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"])[:6])


@pytest.fixture(scope="module")
def decompositions(model):
    return decompose(model)


@pytest.fixture(scope="module")
def problem(model, decompositions):
    cost = model_cost(model)
    return RankProblem(
        cost=cost,
        menus=build_menus(cost.layers, current_ranks=CompressionPlan()),
        prices=parameter_prices(cost),
        compression_ratio=2.0,
        spectra={name: tuple(found.singular_values.tolist()) for name, found in decompositions.items()},
        baseline_wer=0.125,
        divergences={name: tuple(0.5 for _ in range(found.max_rank + 1)) for name, found in decompositions.items()},
        cut=dict.fromkeys(decompositions, (1, 2)),
    )


@pytest.fixture
def workspace(tmp_path, problem, tiny_model_dir, decompositions, proxy):
    """A workspace beside its own copy of the model, so that both can be moved."""
    shutil.copytree(tiny_model_dir, tmp_path / "job" / "model")
    folder = tmp_path / "job" / "workspace"
    folder.mkdir()
    write_factors(folder, decompositions.items())
    write_workspace(
        folder,
        problem=problem,
        model=tmp_path / "job" / "model",
        proxy=proxy,
        cache=tmp_path / "job" / "evaluations.sqlite",
    )
    return folder


def small_plan(problem):
    return CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in problem.cost.layers})


def test_what_was_written_is_read_again(workspace, problem, decompositions, proxy):
    assert read_problem(workspace) == problem
    again = StoredDecompositions(workspace)
    assert list(again) == list(decompositions)
    for name, decomposition in decompositions.items():
        for part in ("up", "down", "singular_values"):
            assert getattr(again[name], part).equal(getattr(decomposition, part))
    read = read_proxy(workspace)
    assert (read.texts, read.durations_s, read.speakers) == (proxy.texts, proxy.durations_s, proxy.speakers)
    assert all(a.equal(b) for a, b in zip(read.features, proxy.features, strict=True))


def test_a_plan_is_judged_by_the_transcripts_of_the_smaller_model(workspace, model, problem, decompositions, proxy):
    plan = small_plan(problem)
    small = shrunk(model, plan, decompositions)
    assert count_parameters(small) == problem.cost.parameters(plan) < count_parameters(model)
    assert open_workspace(workspace).evaluate(plan) == word_error_rate(small, proxy)


def test_a_plan_that_changes_nothing_is_as_good_as_the_model(workspace, model, proxy):
    assert open_workspace(workspace).evaluate(CompressionPlan()) == word_error_rate(model, proxy)


def test_a_judged_plan_is_looked_up_by_everybody_who_opens_the_workspace(workspace, problem, monkeypatch):
    plan = small_plan(problem)
    wer = open_workspace(workspace).evaluate(plan)
    monkeypatch.setattr("agents.search.model_evaluator.transcripts", lambda *_, **__: pytest.fail("evaluated twice"))
    assert open_workspace(workspace).evaluate(plan) == wer


def test_another_proxy_set_makes_another_judgement(workspace, problem, proxy, monkeypatch):
    plan = small_plan(problem)
    open_workspace(workspace).evaluate(plan)
    write_workspace(
        workspace,
        problem=problem,
        model=workspace.parent / "model",
        proxy=proxy.subset([0, 1]),
        cache=workspace.parent / "evaluations.sqlite",
    )
    calls = []
    monkeypatch.setattr(
        "agents.search.model_evaluator.transcripts", lambda _, heard, **__: calls.append(None) or heard.texts
    )
    assert open_workspace(workspace).evaluate(plan) == 0.0
    assert calls


def test_a_workspace_moves_with_its_job(workspace, problem):
    moved = workspace.parent.rename(workspace.parent.with_name("elsewhere"))
    assert open_workspace(moved / "workspace").evaluate(small_plan(problem)) >= 0.0
