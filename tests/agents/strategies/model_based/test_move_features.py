import dataclasses
import math

import numpy as np
import pytest

from agents.strategies.model_based.move_features import CHANGES, LEAST_SHARE, MOVES, N_FEATURES, MoveFeatures
from envs.budget import Budget
from envs.observation import KINDS
from envs.toys import recogniser, separable

KEEP = len(MOVES) // 2
SHARES = len(KINDS) + 3  # first column of the shares, after kind, sides and place


@pytest.fixture(scope="module")
def toy():
    return separable()


@pytest.fixture(scope="module")
def budget(toy):
    return Budget.of(toy.problem)


@pytest.fixture(scope="module")
def features(toy, budget):
    return MoveFeatures.of(toy.problem.decisions, budget, toy.word_losses)


@pytest.fixture(scope="module")
def plans(budget):
    return np.array([budget.cheapest, [len(prices) - 1 for prices in budget.weights], [2, 1, 3, 0, 5, 4]])


def test_the_first_columns_are_a_layer_s_kind_sides_and_place():
    toy = recogniser()
    features = MoveFeatures.of(toy.problem.decisions, Budget.of(toy.problem), toy.word_losses)
    n_layers = len(toy.problem.decisions)
    for i, (decision, row) in enumerate(zip(toy.problem.decisions, features.fixed, strict=True)):
        kind = [float(decision.kind == known) for known in KINDS]
        sides = [math.log2(side) / 20 for side in decision.shape]
        assert row.tolist() == pytest.approx([*kind, *sides, 2 * i / (n_layers - 1) - 1])


def test_three_columns_are_logs_of_the_shares_of_loss_and_budget_and_the_price_over_that_of_the_last_entry(
    toy, budget, features, plans
):
    found = features.at(plans)[:, :, SHARES : SHARES + 3]
    for plan, rows in zip(plans.tolist(), found, strict=True):
        total = max(LEAST_SHARE, sum(losses[e] for losses, e in zip(toy.word_losses, plan, strict=True)))
        for losses, prices, entry, row in zip(toy.word_losses, budget.weights, plan, rows, strict=True):
            logs = [math.log(s + LEAST_SHARE) for s in (losses[entry] / total, prices[entry] / budget.limit)]
            expected = [*(log / math.log(1 / LEAST_SHARE) for log in logs), prices[entry] / prices[-1]]
            assert row.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_last_columns_are_the_changes_of_each_move_squashed_within_the_menu(toy, budget, features, plans):
    losses_of_moves, prices_of_moves = np.split(features.at(plans)[2, :, SHARES + 3 :], 2, axis=1)
    plan = plans[2].tolist()
    total = sum(losses[e] for losses, e in zip(toy.word_losses, plan, strict=True))
    for layer, entry in enumerate(plan):
        losses, prices = toy.word_losses[layer], budget.weights[layer]
        moved = [min(max(entry + move, 0), len(prices) - 1) for move in MOVES.tolist()]
        by_loss = [math.asinh(CHANGES * (losses[to] - losses[entry]) / total) / math.asinh(CHANGES) for to in moved]
        by_price = [
            math.asinh(CHANGES * (prices[to] - prices[entry]) / budget.limit) / math.asinh(CHANGES) for to in moved
        ]
        assert losses_of_moves[layer].tolist() == pytest.approx(by_loss, abs=1e-6)
        assert prices_of_moves[layer].tolist() == pytest.approx(by_price, abs=1e-6)


def test_moves_that_leave_a_menu_are_not_allowed(features, plans):
    cheapest, dense, _ = features.allowed(plans)
    assert cheapest.tolist() == [(MOVES >= 0).tolist()] * 6
    assert dense.tolist() == [(MOVES <= 0).tolist()] * 6
    assert features.allowed(plans)[:, :, KEEP].all()


def test_a_menu_shorter_than_the_longest_ends_where_it_ends(toy):
    short = dataclasses.replace(toy.problem.decisions[0], options=toy.problem.decisions[0].options[:2])
    problem = dataclasses.replace(toy.problem, decisions=(short, *toy.problem.decisions[1:]))
    losses = (toy.word_losses[0][:2], *toy.word_losses[1:])
    features = MoveFeatures.of(problem.decisions, Budget.of(problem), losses)
    plans = np.array([[1, 2, 2, 2, 2, 2]])
    assert features.allowed(plans)[0, 0].tolist() == [move in (-1, 0) for move in MOVES]
    assert features.at(plans)[0, 0, SHARES + 3 + KEEP :][: KEEP + 1].tolist() == [0.0] * (KEEP + 1)


def test_a_plan_without_loss_has_finite_features(toy, budget):
    lossless = tuple((0.0,) * len(row) for row in toy.word_losses)
    found = MoveFeatures.of(toy.problem.decisions, budget, lossless).at(np.array([budget.cheapest]))
    assert found.shape == (1, 6, N_FEATURES)
    assert np.isfinite(found).all()
