import numpy as np
import pytest

from envs.rank_options import rank_menus, site_decision, with_rank_losses
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import byte_prices


def energies_of(make_problem, spectrum, menu):
    problem = make_problem([(8, 8)], compression_ratio=1.5, menus={"layer0": menu}, spectra={"layer0": spectrum})
    return problem.retained_energies[0]


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


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        (Choice(sparsity=0.5), 0.929),
        (Choice(sparsity=0.9), 0.439),
        (Choice(bits=4), 1 - 3.3 / 256),
        (Choice(bits=4, sparsity=0.5), 0.929 * (1 - 3.3 / 256)),
        (Choice(rank=2, sparsity=0.5), 0.5 * 0.929**2),
    ],
)
def test_rounding_and_zeros_keep_what_they_do_of_bell_shaped_weights(choice, kept):
    layer = LayerSpec("a", "linear", 64, 64)
    prices = byte_prices(ModelCost((layer,), Cost(0, 0)), 10**6)
    decision = site_decision(layer, [choice, DENSE], prices, (1.0,) * 4)
    assert decision.options[0].retained_energy == pytest.approx(kept, abs=1e-3)


def test_a_layer_of_zeros_loses_nothing(make_problem):
    assert energies_of(make_problem, (0.0, 0.0), (1, 2, None)) == (1.0, 1.0, 1.0)


def test_a_missing_spectrum_is_refused(make_problem):
    with pytest.raises(PlanError, match="layer 'layer0' has no spectrum"):
        make_problem([(8, 8)], compression_ratio=1.5, spectra={"elsewhere": (1.0,)})


def test_a_missing_menu_is_refused(make_problem):
    with pytest.raises(PlanError, match="layer 'layer0' has no menu"):
        make_problem([(8, 8)], menus={"elsewhere": (1, None)})


def test_options_carry_the_cost_and_the_price_of_their_ranks(make_problem):
    (decision,) = make_problem([(16, 8)], menus={"layer0": (1, 3, None)}).decisions
    assert (decision.name, decision.kind, decision.shape) == ("layer0", "linear", (16, 8))
    assert [option.cost for option in decision.options] == [Cost(24, 96), Cost(72, 288), Cost(128, 512)]
    assert [option.price for option in decision.options] == [24, 72, 128]
    assert [option.choice.rank for option in decision.options] == [1, 3, None]


def test_the_energy_of_a_decision_is_that_of_its_matrix(make_problem):
    (decision,) = make_problem([(8, 8)], spectra={"layer0": (3.0, 2.0, 1.0)}).decisions
    assert decision.energy == 14.0


def test_menus_can_be_read_back(make_problem):
    menus = {"layer0": (1, 3, None), "layer1": (2, 5)}
    assert rank_menus(make_problem([(16, 8), (16, 8)], menus=menus)) == menus


def test_losses_are_told_by_rank_and_a_layer_left_dense_loses_nothing(make_problem):
    problem = make_problem([(16, 8)], menus={"layer0": (1, 3, None)})
    told = with_rank_losses(problem, {"layer0": (0.9, 0.5, 0.4)}, tokens_per_utterance=4.0)
    assert told.expected_losses == ((0.5, 0.4, 0.0),), "ranks beyond the curve's end lose what its end does"
    assert told.per_utterance(0.5) == 2.0
    assert problem.tells_losses < told.tells_losses


def test_a_layer_without_losses_is_refused(make_problem):
    with pytest.raises(PlanError, match="layer 'layer1' has no expected loss; give one for each of its ranks, from 0"):
        with_rank_losses(make_problem([(8, 8), (8, 8)]), {"layer0": (0.1,)}, tokens_per_utterance=1.0)
