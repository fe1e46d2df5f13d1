import pytest
import torch

from shrinkml.errors import PlanError, RankError
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import Choice
from tests.shrinkml.layers.at_ranks import at_ranks


@pytest.fixture
def layer():
    layer = FormLayer()
    layer.hold("first", (6, 4), at_ranks(first=2))
    layer.hold("second", (3, 4), at_ranks(first=2))
    return layer


def test_a_matrix_without_a_choice_is_dense(layer):
    assert layer.choices == {"first": Choice(rank=2)}
    assert {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()} == {
        "first_up": (6, 2),
        "first_down": (2, 4),
        "second": (3, 4),
    }


def test_parameters_start_as_zeros(layer):
    assert not any(bool(parameter.any()) for parameter in layer.parameters())


def test_choices_are_shown_as_in_a_plan(layer):
    assert layer.shown_choices() == "choices={'first': 2}"


def test_matrices_survive_a_move_to_another_dtype(layer):
    assert {parameter.dtype for parameter in layer.double().parameters()} == {torch.float64}
    assert layer.choices == {"first": Choice(rank=2)}


def test_choices_that_cannot_be_held_are_refused():
    with pytest.raises(RankError, match="rank 5 of a matrix"):
        FormLayer().hold("first", (6, 4), at_ranks(first=5))
    with pytest.raises(PlanError, match="no form of a weight holds"):
        FormLayer().hold("first", (6, 4), {"first": Choice(bits=9)})
