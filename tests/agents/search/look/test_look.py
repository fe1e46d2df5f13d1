"""The tiny recogniser, looked at as a job does."""

import pytest

import shrinkml
from agents.search.look.effort import EFFORTS
from agents.search.look.look import LookSettings, look
from agents.search.make_problem import problem_of
from agents.search.model_evaluator import shrunk
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.plan.prices import parameter_prices
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset
from tests.agents.search.look.test_recalled_losses import Kept


@pytest.fixture(scope="module")
def made(tiny_model_dir, tiny_data):
    model = shrinkml.load(tiny_model_dir)
    decompositions = decompose(model.module)
    prices = parameter_prices(model_cost(model.module), current_plan(model.module))
    problem = problem_of(model.module, decompositions, prices=prices, ratio=2.0, baseline_wer=0.2)
    speech = load_dataset(model, read_manifest(tiny_data["dev"])[:6])
    return problem, model, lambda plan: shrunk(model, plan, decompositions), speech


def test_the_problem_is_told_and_progress_goes_to_the_end(made):
    told, memory = [], Kept()
    settings = LookSettings(None, lambda n_heard: memory, lambda n_done, n_total: told.append((n_done, n_total)))
    problem = look(*made, settings=settings)
    assert problem.tokens_per_utterance is not None
    assert [n_done for n_done, _ in told] == sorted(n_done for n_done, _ in told)
    assert told[-1][0] == told[-1][1] == told[0][1]
    assert len(memory) > len(problem.decisions)


def test_a_second_look_runs_no_model_and_tells_the_same(made):
    problem, model, _, speech = made
    memory = Kept()
    settings = LookSettings(memory=lambda n_heard: memory)
    first = look(*made, settings=settings)
    again = look(problem, model, lambda plan: pytest.fail("a model was cut"), speech, settings=settings)
    assert again == first


def test_a_short_search_is_worth_a_small_look(made):
    heard, counts = [], []
    for searched in (None, 1):
        settings = LookSettings(searched, lambda n: heard.append(n) or Kept(), lambda n, of: counts.append(of))
        look(*made, settings=settings)
    assert heard == [EFFORTS[0].n_heard, EFFORTS[-1].n_heard]
    assert counts[-1] < counts[0]


def test_layers_left_alone_are_not_measured(made):
    problem, model, cut, speech = made
    left = problem.decisions[0].name
    seen = set()

    def watched(plan):
        seen.update(plan.ranks)
        return cut(plan)

    look(problem, model, watched, speech, left={left})
    assert seen
    assert left not in seen
