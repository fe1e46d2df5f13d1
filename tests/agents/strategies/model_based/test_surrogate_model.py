import numpy as np
import pytest

from agents.strategies.baselines.random import random_entries
from agents.strategies.model_based.surrogate_model import Features, SurrogateModel
from envs.budget import Budget
from envs.toys import recogniser
from envs.word_loss import LEAST_WORD_LOSS, word_loss


@pytest.fixture(scope="module")
def toy():
    return recogniser()


@pytest.fixture(scope="module")
def judged(toy):
    """[80, n_layers] random plans of the toy, and the word loss of each."""
    budget, rng = Budget.of(toy.problem), np.random.default_rng(0)
    entries = np.array([random_entries(budget, rng) for _ in range(80)])
    losses = [word_loss(toy.evaluate(budget.plan(row)), toy.problem.baseline_wer) for row in entries]
    return entries, np.array(losses)


def features_of(toy, factors=1.0):
    """Features whose curves are the toy's own, off by a factor per layer."""
    factors = np.broadcast_to(factors, len(toy.word_losses))
    losses = tuple(tuple(f * d for d in row) for f, row in zip(factors, toy.word_losses, strict=True))
    return Features.of(Budget.of(toy.problem), losses)


def root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_the_prior_is_the_sum_of_what_layers_do_alone(toy, judged):
    entries, _ = judged
    alone = [sum(row[e] for row, e in zip(toy.word_losses, plan, strict=True)) for plan in entries.tolist()]
    assert features_of(toy).prior(entries) == pytest.approx(np.log(np.array(alone) + LEAST_WORD_LOSS))


def test_the_correction_predicts_unseen_plans_better_than_the_sum_alone(toy, judged):
    entries, losses = judged
    features = features_of(toy, factors=np.exp(np.random.default_rng(1).normal(0.0, 0.5, len(toy.word_losses))))
    model = SurrogateModel.fit(features, entries[:60], losses[:60])
    truth = np.log(losses[60:] + LEAST_WORD_LOSS)
    predicted, _ = model.predict(entries[60:])
    assert root_mean_square(predicted - truth) < 0.5 * root_mean_square(features.prior(entries[60:]) - truth)


def test_the_spread_covers_the_error_and_is_least_where_plans_were_judged(toy, judged):
    entries, losses = judged
    model = SurrogateModel.fit(features_of(toy), entries[:40], losses[:40])
    mean, spread = model.predict(entries)
    errors = np.abs(mean - np.log(losses + LEAST_WORD_LOSS))[40:]
    assert (errors < 3.0 * spread[40:]).mean() > 0.9
    assert np.median(spread[:40]) < np.median(spread[40:])


def test_one_judged_plan_is_enough_to_fit(toy, judged):
    entries, losses = judged
    model = SurrogateModel.fit(features_of(toy), entries[:1], losses[:1])
    mean, spread = model.predict(entries[:1])
    assert mean[0] == pytest.approx(np.log(losses[0] + LEAST_WORD_LOSS), abs=0.02)
    assert spread[0] >= 0.0
    assert (model.mean(entries) == model.predict(entries)[0]).all()
