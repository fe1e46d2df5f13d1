import math

import numpy as np
import pytest

from envs.toys.rank_toys import recogniser, recogniser_layers, separable, small_layers, spectra


def test_spectra_fall_and_are_as_long_as_the_rank_may_be():
    layers = recogniser_layers(1)
    for name, values in spectra(layers, np.random.default_rng(0)).items():
        (layer,) = (layer for layer in layers if layer.name == name)
        assert len(values) == layer.max_rank
        assert list(values) == sorted(values, reverse=True)


def test_word_losses_grow_with_the_square_of_the_energy_lost():
    toy = separable()
    for losses, kept in zip(toy.word_losses, toy.problem.retained_energies, strict=True):
        sensitivity = losses[0] / (1.0 - kept[0]) ** 2
        assert losses == pytest.approx([sensitivity * (1.0 - share) ** 2 for share in kept])
        assert losses[-1] == 0.0


@pytest.mark.parametrize("encoder_layers", [1, 3])
def test_a_recogniser_has_four_matrices_per_encoder_layer_and_six_more(encoder_layers):
    problem = recogniser(encoder_layers=encoder_layers).problem
    assert len(problem.decisions) == 4 * encoder_layers + 6
    assert {decision.kind for decision in problem.decisions} == {"lstm_input", "lstm_recurrent", "linear", "embedding"}


def test_the_problem_counts_from_all_weights_and_one_bias_per_row():
    dense = sum(layer.parameters + layer.out_features for layer in small_layers())
    assert separable().problem.prices.original == dense
    assert separable().problem.limit == math.floor(dense / 3.0)
