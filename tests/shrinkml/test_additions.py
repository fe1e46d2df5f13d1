"""What people hang on a torch layer works on ours, or keeps the layer as it is, with the reason."""

import copy
import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm

from shrinkml.additions import copied, own_ways, take_over_
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.inventory import list_parameters
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import merge
from shrinkml.layers.attention import SplitAttention, split_attention
from shrinkml.layers.lstm import FormLSTM
from shrinkml.plan.compression_plan import CompressionPlan

FRAMES = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))


class Two(nn.Module):
    """Two layers; one of them tells the module what it gives."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.second = nn.Linear(5, 4)
        self.heard = []
        self.first.register_forward_hook(self.hear)

    def hear(self, module, inputs, output):
        self.heard.append(output.detach())

    def forward(self, x):
        return self.second(self.first(x))


def small(model):
    return factorize(model, CompressionPlan.of_ranks({it.name: 2 for it in find_layers(model)}), decompose(model))


def test_hooks_of_a_factorized_layer_are_called_with_the_copy_and_not_for_the_original():
    model = Two()
    seen = []
    model.second.register_forward_pre_hook(lambda module, args: seen.append(module))
    model.second.register_full_backward_hook(lambda module, given, taken: seen.append("backward"))
    cut = small(model)
    cut(FRAMES).sum().backward()
    assert [len(it.heard) for it in (model, cut)] == [0, 1]
    assert torch.equal(cut.heard[0], cut.first(FRAMES))
    assert seen == [cut.second, "backward"]
    merged = merge(cut)
    merged(FRAMES)
    assert [type(module) for module in merged.children()] == [nn.Linear, nn.Linear]
    assert seen[-1] is merged.second


def test_attributes_of_a_factorized_layer_stay():
    model = Two()
    model.first.label = ["mine"]
    cut = small(model)
    assert cut.first.label == ["mine"]
    assert cut.first.label is not model.first.label
    assert "held" not in vars(merge(cut).first)


def test_hooks_of_torchs_attention_stay_where_it_is_split():
    seen = []
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2)})
    model.attention.register_forward_hook(lambda module, args, output: seen.append(type(module)))
    x = torch.randn(3, 1, 8)
    split_attention(model).attention(x, x, x)
    assert seen == [SplitAttention]


def replaced(layer):
    layer.forward = lambda x: x
    return layer


def with_more(layer):
    layer.gate = nn.Parameter(torch.ones(1))
    layer.adapter = nn.Linear(4, 4)
    return layer


def with_state_hook(layer):
    layer._register_load_state_dict_pre_hook(lambda *args: None)
    return layer


def older(norm, layer, name="weight"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return norm(layer, name)


CHANGED = {
    "weight_norm": (lambda: older(weight_norm, nn.Linear(6, 4)), r"weight is computed at each call \(of .*weight_g"),
    "spectral_norm": (lambda: older(spectral_norm, nn.Linear(6, 4)), r"weight is computed at each call \(of .*_orig"),
    "pruned": (lambda: prune.random_unstructured(nn.Linear(6, 4), "weight", 0.5), r"weight is computed at each call"),
    "weight drop": (
        lambda: older(weight_norm, nn.LSTM(6, 4), "weight_hh_l0"),
        r"weight_hh_l0 is computed at each call",
    ),
    "forward": (lambda: replaced(nn.Linear(6, 4)), "its forward pass was replaced by another"),
    "more": (lambda: with_more(nn.Linear(6, 4)), r"its owner gave it more than torch does \(adapter, gate\)"),
    "state": (lambda: with_state_hook(nn.Linear(6, 4)), "hooks on its state"),
}


@pytest.mark.parametrize(("made", "why"), CHANGED.values(), ids=CHANGED)
def test_what_decides_how_the_weight_is_used_keeps_the_layer_with_the_reason(made, why):
    model = nn.Sequential(made())
    notes = [note for note in list_parameters(model) if len(note.shape) > 1 and "adapter" not in note.name]
    assert notes
    assert {note.verdict for note in notes} == {"left"}
    for note in notes:
        assert re.match(why, note.why)
    assert not any(layer.name.startswith("0.weight") for layer in find_layers(model))


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_a_model_with_an_older_weight_norm_is_copied_and_computes_the_same(norm):
    model = nn.Sequential(older(norm, nn.Linear(6, 4)), nn.Linear(4, 4)).eval()
    output = model(FRAMES)
    assert not model[0].weight.is_leaf
    assert torch.equal(copied(model)(FRAMES), output)
    cut = small(model)
    assert [type(module).__name__ for module in cut] == ["Linear", "FormLinear"]
    assert torch.equal(cut[0](FRAMES), model[0](FRAMES))


@pytest.mark.parametrize("change", [replaced, lambda it: older(weight_norm, it, "in_proj_weight")])
def test_attention_that_was_changed_is_not_split(change):
    model = nn.ModuleDict({"attention": change(nn.MultiheadAttention(8, 2))})
    assert type(split_attention(model).attention) is nn.MultiheadAttention


def test_torchs_layers_as_they_are_have_no_ways_of_their_own():
    assert own_ways(nn.LSTM(3, 4), ["weight_ih_l0", "weight_hh_l0"]) is None
    assert own_ways(nn.Linear(3, 4, bias=False), ["weight"]) is None
    assert own_ways(nn.MultiheadAttention(8, 2), ["in_proj_weight"], parts=("out_proj",)) is None


def test_what_a_module_is_made_with_is_not_taken_over():
    twin, module = nn.Linear(3, 4), nn.Linear(5, 6)
    module.label = "mine"
    take_over_(twin, module, {}, made_with=vars(nn.Linear(1, 1)))
    assert (twin.in_features, twin.label) == (3, "mine")
    assert copy.deepcopy(twin).label == "mine"


def test_layers_of_ours_that_are_dense_are_factorized_and_merged_like_any_other():
    model = nn.Sequential(FormLSTM(6, 5, {}))
    cut = small(model)
    assert set(cut[0].choices) == {"weight_ih_l0", "weight_hh_l0"}
    assert type(merge(cut)[0]) is nn.LSTM
    assert type(small(merge(cut))[0]) is FormLSTM
