"""Modules that may be dropped, many plans at once, against `envs.budget` one by one."""

import numpy as np

from envs.batch_modules import BatchModules
from envs.batch_projection import BatchProjection
from envs.budget import Budget
from envs.projection import as_energies, fit_to_budget
from envs.toys import dropping

TOY = dropping()
BUDGET = Budget.of(TOY.problem)
RNG = np.random.default_rng(3)
ENTRIES = np.column_stack([RNG.integers(len(prices), size=60) for prices in BUDGET.weights])


def test_what_is_gone_is_the_budgets_own_count():
    modules = BatchModules.of(BUDGET, BatchProjection.of(BUDGET, TOY.word_losses).prices, np.zeros(ENTRIES.shape))
    one_by_one = [[BUDGET.is_gone(i, row) for i in range(len(row))] for row in ENTRIES.tolist()]
    assert modules.gone(ENTRIES).tolist() == one_by_one
    assert modules.may_go.tolist() == [i in BUDGET.children for i in range(len(BUDGET.names))]
    spent = BatchProjection.of(BUDGET, TOY.word_losses).spent(ENTRIES)
    assert spent.tolist() == [BUDGET.spent(row) for row in ENTRIES.tolist()]


def test_plans_are_fitted_by_expected_losses_as_one_by_one():
    pinned, energies = RNG.random(ENTRIES.shape) < 0.4, as_energies(TOY.word_losses)
    one_by_one = [
        fit_to_budget(row, BUDGET, energies, pinned=np.flatnonzero(pins).tolist())
        for row, pins in zip(ENTRIES.tolist(), pinned, strict=True)
    ]
    assert BatchProjection.of(BUDGET, energies).fit(ENTRIES, pinned).tolist() == [list(row) for row in one_by_one]
