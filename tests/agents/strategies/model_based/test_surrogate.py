import dataclasses

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from agents.strategies.baselines.evolution import evolution
from agents.strategies.model_based.model_search import MEASURED, MEASURED_PER_LAYER
from agents.strategies.model_based.surrogate import surrogate
from envs.toys import recogniser, telling
from tests.agents.toy_search import search as run


@pytest.fixture(scope="module")
def toy():
    return recogniser()


@pytest.mark.usefixtures("evolving_little")
@pytest.mark.parametrize("evaluations", [2, 20, 60])
def test_layers_alone_take_a_bounded_share_of_the_evaluations(make_search, toy, evaluations):
    search = make_search(toy, evaluations=evaluations)
    surrogate(search)
    n_over = evaluations - len(search.recorder.inside)
    assert search.recorder.evaluations_left == 0
    assert n_over <= min(MEASURED * evaluations, MEASURED_PER_LAYER * len(search.budget.names))


def test_after_sixty_evaluations_it_is_ahead_of_evolution(make_search, toy):
    found = []
    for explore in (surrogate, evolution):
        search = make_search(toy, evaluations=60)
        explore(search)
        found.append(search.recorder.best.wer)
    assert found[0] < found[1]


# Of a problem of six layers it finds the model's own optimum whatever the seed.
def test_another_seed_gives_other_trials(make_search, toy):
    searches = [dataclasses.replace(make_search(toy, evaluations=16), seed=seed) for seed in (5, 6)]
    for search in searches:
        surrogate(search)
    first, second = ([trial.plan for trial in search.recorder.inside] for search in searches)
    assert first[:3] == second[:3]  # the cheap plans, and that of least measured loss
    assert first != second


@pytest.mark.usefixtures("evolving_little")
def test_a_constant_wer_is_no_reason_to_fail(make_search, toy):
    search = make_search(toy, evaluations=12, evaluate=lambda plan: 0.0)
    surrogate(search)
    assert search.recorder.evaluations_left == 0


@pytest.mark.usefixtures("evolving_little")
def test_while_it_searches_numpy_has_one_thread(toy):
    found = set()

    def evaluate(plan):
        found.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return toy.evaluate(plan)

    with threadpool_limits(2, user_api="blas"):
        run("surrogate", toy, evaluations=2, evaluate=evaluate)
    assert found == {1}


@pytest.mark.usefixtures("evolving_little")
@pytest.mark.parametrize("tokens_per_utterance", [8.0, 13.7])
def test_losses_per_token_count_as_much_as_those_per_utterance(toy, tokens_per_utterance):
    """Rounding apart, which 13.7 does: utterances of one token tell the same numbers per token and per utterance."""
    per_utterance, per_token = (run("surrogate", telling(toy, n), evaluations=16) for n in (1.0, tokens_per_utterance))
    assert [trial.plan for trial in per_token.trials] == [trial.plan for trial in per_utterance.trials]
