from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.inventory import ParameterNote, list_parameters
from shrinkml.compression.sites import find_layers
from shrinkml.plan.compression_plan import CompressionPlan


def notes(model):
    return {note.name: note for note in list_parameters(model)}


def test_every_name_of_every_parameter_is_listed_once(recogniser):
    names = [name for name, _ in recogniser.named_parameters(remove_duplicate=False)]
    assert [note.name for note in list_parameters(recogniser)] == names


def test_factorizable_parameters_are_the_layers(recogniser):
    found = [note.name for note in list_parameters(recogniser) if note.verdict == "factorizable"]
    assert sorted(found) == sorted(layer.name for layer in find_layers(recogniser))


def test_tied_parameters_tell_their_first_name(recogniser):
    assert notes(recogniser)["output.weight"] == ParameterNote("output.weight", (11, 10), "tied", "embedding.weight")


def test_factors_tell_the_layer_that_they_belong_to(recogniser):
    small = factorize(recogniser, CompressionPlan.of_ranks({"query.weight": 2}), decompose(recogniser))
    assert notes(small)["query.weight_up"] == ParameterNote("query.weight_up", (10, 2), "factorizable", "query.weight")
    assert Counter(note.verdict for note in list_parameters(small))["tied"] == 1


class Doubled(nn.Linear):
    """A subclass whose forward pass is its own affair."""


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 2))


@pytest.mark.parametrize(
    ("layer", "name", "why"),
    [
        (nn.Linear(4, 4), "bias", "a vector"),
        (nn.Conv1d(4, 4, 3, groups=4), "weight", "a convolution of 4 groups is no single matrix"),
        (weight_norm(nn.Conv1d(4, 4, 3)), "parametrizations.weight.original1", "another weight is computed from it"),
        (Doubled(4, 4), "weight", "Doubled is a kind of layer of its own, which may read its weight in its own way"),
        (Scaled(), "scale", "no factorizer for Scaled"),
        (nn.Conv2d(4, 4, 3), "weight", "no factorizer for Conv2d"),
        (
            nn.Embedding(4, 4, max_norm=1.0),
            "weight",
            "Embedding with these options, or tied to another kind of layer: no factors can replace it",
        ),
    ],
)
def test_what_is_left_has_its_reason(layer, name, why):
    note = notes(layer)[name]
    assert (note.verdict, note.why) == ("left", why)
    assert note.is_unknown == (why != "a vector")


def test_what_is_factorized_tied_or_as_thin_as_a_vector_is_known(recogniser):
    assert not any(note.is_unknown for note in list_parameters(recogniser))
    magnitudes = notes(weight_norm(nn.Conv1d(4, 4, 3), dim=2))["parametrizations.weight.original0"]
    assert (magnitudes.shape, magnitudes.is_unknown) == ((1, 1, 3), False)
