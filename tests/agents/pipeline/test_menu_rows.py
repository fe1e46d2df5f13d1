"""What the report tells of menus is what the strategies judged."""

from pathlib import Path

import pytest

from agents.pipeline.menu_rows import menu_rows, wers_alone
from agents.search.opened_workspace import open_workspace
from agents.search.search_result import SearchResult, Trial
from agents.search.search_task import run_search
from envs.rank_options import rank_menus, with_rank_losses
from envs.toys import TOYS
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.search_rows import MenuEntry, MenuRow
from tests.agents.toy_search import search


def with_one(problem, name, choice):
    unchanged = {decision.name: decision.choices[-1] for decision in problem.decisions}
    return CompressionPlan(unchanged | {name: choice})


@pytest.mark.parametrize("name", TOYS)
def test_knapsack_measures_every_entry_and_the_toy_agrees(name):
    toy = TOYS[name]()
    alone = wers_alone(toy.problem, [search("random", toy, evaluations=5), search("knapsack", toy, evaluations=1000)])
    assert set(alone) == {(it.name, choice) for it in toy.problem.decisions for choice in it.choices[:-1]}
    for (layer, choice), wer in alone.items():
        assert wer == toy.evaluate(with_one(toy.problem, layer, choice))


def test_strategies_that_compress_all_layers_at_once_tell_nothing_of_one():
    toy = TOYS["recogniser"]()
    assert (
        wers_alone(toy.problem, [search("greedy", toy, evaluations=1), search("evolution", toy, evaluations=20)]) == {}
    )


def test_an_estimate_tells_nothing_of_a_layer():
    toy = TOYS["separable"]()
    first = toy.problem.decisions[0]
    trials = (Trial(with_one(toy.problem, first.name, first.choices[0]), 0.5, 1, heard=0.25),)
    assert wers_alone(toy.problem, [SearchResult("random", 0, trials[0], trials)]) == {}


def test_what_is_expected_of_a_layer_is_told_at_every_rank_and_unknown_where_the_model_tells_no_scores():
    toy = TOYS["separable"]()
    problem, result = toy.problem, search("greedy", toy, evaluations=1)
    rows = menu_rows(problem, result.best.plan, [result])
    assert {entry.expected_loss for row in rows for entry in row.entries} == {None}
    curves = {decision.name: tuple(0.25 / (rank + 1) for rank in range(999)) for decision in problem.decisions}
    told = with_rank_losses(problem, curves, tokens_per_utterance=4.0)
    rows = menu_rows(told, result.best.plan, [result])
    for entry in (entry for row in rows for entry in row.entries):
        assert entry.expected_loss == (0.0 if entry.rank is None else 0.25 / (entry.rank + 1)), "in nats per token"


def test_the_rows_of_a_recogniser_hold_its_menus_what_was_measured_and_what_was_chosen(make_task):
    task = make_task("knapsack", evaluations=12)
    result = run_search(task, on_trial=lambda trial, n_done: None, should_stop=lambda: False)
    workspace = open_workspace(Path(task.workspace))
    problem = workspace.problem
    rows = menu_rows(problem, result.best.plan, [result])
    assert {row.name: tuple(entry.rank for entry in row.entries) for row in rows} == rank_menus(problem)
    assert {type(row) for row in rows} == {MenuRow}
    assert {type(entry) for row in rows for entry in row.entries} == {MenuEntry}
    chosen = {row.name: entry.rank for row in rows for entry in row.entries if entry.chosen}
    assert chosen == {name: result.best.plan.choice(name).rank for name in rank_menus(problem)}
    assert {row.entries[-1].wer_alone for row in rows} == {problem.baseline_wer}
    assert {row.entries[-1].weights_kept for row in rows} == {1.0}
    compressed = [(row.name, entry) for row in rows for entry in row.entries[:-1]]
    measured = [(name, entry) for name, entry in compressed if entry.wer_alone is not None]
    assert len(measured) == 9, "greedy, uniform and the solution are the other three"
    for name, entry in measured:
        assert entry.wer_alone == workspace.evaluate(with_one(problem, name, Choice(rank=entry.rank)))
