import dataclasses

import pytest

from agents.pipeline.stages.steps.choose_stage import choose_from, finalists
from agents.search.model_evaluator import shrunk
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import StoredDecompositions, read_problem
from agents.strategies.baselines.greedy import greedy_plan
from envs.rank_options import rank_menus
from shrinkml.compression.sites import model_cost
from shrinkml.errors import StoppedError
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan


def test_the_plan_that_is_taken_is_the_best_on_all_of_dev_of_those_within_the_budget(
    materials, pose_search, tmp_path, monkeypatch
):
    pose_search(materials, tmp_path, materials.original, 1.5)
    cost = model_cost(materials.model.module)
    layers = {layer.name: layer.break_even_rank for layer in cost.layers}
    good = CompressionPlan.of_ranks({name: max(1, rank // 2) for name, rank in layers.items()})
    bad, stopped = (CompressionPlan.of_ranks(dict.fromkeys(layers, rank)) for rank in (1, 2))
    too_large = CompressionPlan.of_ranks({next(iter(layers)): 1})

    def trial(plan, wer, heard=1.0):
        return Trial(plan, wer, cost.parameters(plan), heard)

    # The proxy set, here made up, says the opposite of dev.
    trials = [trial(too_large, 0.0), trial(stopped, 0.05, 0.5), trial(bad, 0.1), trial(good, 0.2), trial(bad, 0.1)]
    results = [SearchResult("random", 3, trials[2], tuple(trials)), SearchResult("ppo", 0, trials[2], (trials[2],))]
    found = choose_from(materials, results, start=materials.original, workspace=tmp_path)
    assert found.plan == good
    first, second = found.finalists
    assert (first.strategy, first.seed, first.proxy_wer, second.proxy_wer) == ("random", 3, 0.2, 0.1)
    model = shrunk(materials.model, good, StoredDecompositions(tmp_path))
    assert first.dev_wer == word_error_rate(model, materials.dev) < second.dev_wer
    monkeypatch.setattr(materials, "should_stop", lambda: True)
    with pytest.raises(StoppedError):
        choose_from(materials, results, start=materials.original, workspace=tmp_path)


def test_of_plans_that_seem_to_lose_nothing_the_least_expected_loss_comes_first(materials, pose_search, tmp_path):
    pose_search(materials, tmp_path, materials.original, 1.1)
    problem = dataclasses.replace(read_problem(tmp_path), baseline_wer=0.5)
    name, menu = max(rank_menus(problem).items(), key=lambda item: len(item[1]))
    low, high = (CompressionPlan.of_ranks({**greedy_plan(problem).ranks, name: rank}) for rank in (menu[0], menu[1]))
    trials = tuple(
        Trial(plan, wer, 1) for plan, wer in ((low, 0.1), (high, 0.4), (CompressionPlan.of_ranks({name: menu[2]}), 0.6))
    )
    problem = dataclasses.replace(problem, compression_ratio=1.0)
    found = finalists([SearchResult("random", 0, trials[0], trials)], problem)
    assert [trial.plan for _, trial in found] == [high, low, trials[2].plan]
