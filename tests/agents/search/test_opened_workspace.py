import json
import shutil
from dataclasses import asdict, replace

import pytest

from agents.search.model_evaluator import shrunk
from agents.search.opened_workspace import context_of, open_workspace
from agents.search.workspace import RECORD, StoredDecompositions, read_problem, read_proxy, read_record, write_workspace
from shrinkml.compression.sites import model_cost
from shrinkml.measure.evaluation import count_parameters, word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import load


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture
def workspace(make_task, tmp_path, tiny_model_dir):
    """A workspace beside its own copy of the model, so that both can be moved."""
    folder = tmp_path / "job" / "workspace"
    shutil.copytree(tiny_model_dir, tmp_path / "job" / "model")
    shutil.move(make_task("greedy").workspace, folder)
    record = replace(read_record(folder), model="../model", cache="../evaluations.sqlite")
    (folder / RECORD).write_text(json.dumps(asdict(record)))
    return folder


@pytest.fixture
def proxy(workspace):
    return read_proxy(workspace)


@pytest.fixture
def problem(workspace):
    return read_problem(workspace)


@pytest.fixture
def decompositions(workspace):
    return StoredDecompositions(workspace)


def small_plan(problem):
    shapes = {decision.name: decision.shape for decision in problem.decisions}
    ranks = {name: max(1, out * inp // (out + inp) // 2) for name, (out, inp) in shapes.items()}
    return CompressionPlan.of_ranks(ranks)


def test_a_plan_is_judged_by_the_transcripts_of_the_smaller_model(workspace, model, problem, decompositions, proxy):
    plan = small_plan(problem)
    small = shrunk(model, plan, decompositions)
    assert count_parameters(small) == model_cost(model.module).parameters(plan) < count_parameters(model)
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


def test_errors_are_counted_by_the_workspaces_normaliser(workspace, proxy, model):
    record = replace(read_record(workspace), texts=[f"{text}!" for text in proxy.texts], normaliser="none")
    (workspace / RECORD).write_text(json.dumps(asdict(record)))
    judged = open_workspace(workspace).evaluate(CompressionPlan())
    assert judged == word_error_rate(model, read_proxy(workspace), normaliser="none")
    assert judged > word_error_rate(model, proxy)


def test_a_workspace_moves_with_its_job(workspace, problem):
    moved = workspace.parent.rename(workspace.parent.with_name("elsewhere"))
    assert open_workspace(moved / "workspace").evaluate(small_plan(problem)) >= 0.0


def test_the_context_is_of_what_decides_the_errors_and_nothing_else(workspace):
    before, record = context_of(workspace), read_record(workspace)
    (workspace / RECORD).write_text(json.dumps(asdict(replace(record, device="cuda", cache="elsewhere.sqlite"))))
    assert context_of(workspace) == before
    (workspace / RECORD).write_text(json.dumps(asdict(replace(record, normaliser="none"))))
    assert context_of(workspace) != before
    (workspace / RECORD).write_text(json.dumps(asdict(replace(record, texts=["open", *record.texts[1:]]))))
    assert context_of(workspace) != before
