import numpy as np
import pytest

from envs.budget import Budget
from envs.retained_energy import retained_energies
from shrinkml.errors import PlanError


def energies_of(make_problem, spectrum, menu):
    problem = make_problem([(8, 8)], compression_ratio=1.5, menus={"layer0": menu}, spectra={"layer0": spectrum})
    return retained_energies(problem, Budget.of(problem))[0]


def test_energy_is_the_share_of_squared_singular_values(make_problem):
    assert energies_of(make_problem, (3.0, 2.0, 1.0), (1, 2, None)) == pytest.approx((9 / 14, 13 / 14, 1.0))


def test_energy_is_what_the_best_matrix_of_that_rank_keeps(make_problem):
    weight = np.random.default_rng(0).normal(size=(8, 8))
    left, singular_values, right = np.linalg.svd(weight)
    kept = (left[:, :3] * singular_values[:3]) @ right[:3]
    oracle = 1.0 - np.sum((weight - kept) ** 2) / np.sum(weight**2)
    assert energies_of(make_problem, tuple(singular_values), (1, 3, None))[1] == pytest.approx(oracle)


def test_a_spectrum_shorter_than_a_rank_is_all_kept(make_problem):
    assert energies_of(make_problem, (1.0, 1.0), (1, 2, 3)) == pytest.approx((0.5, 1.0, 1.0))


def test_a_layer_of_zeros_loses_nothing(make_problem):
    assert energies_of(make_problem, (0.0, 0.0), (1, 2, None)) == (1.0, 1.0, 1.0)


def test_a_missing_spectrum_is_refused(make_problem):
    problem = make_problem([(8, 8)], compression_ratio=1.5, spectra={"elsewhere": (1.0,)})
    with pytest.raises(PlanError, match="layer 'layer0' has no spectrum"):
        retained_energies(problem, Budget.of(problem))
