"""Residual branches of small modules, and of each kind of recogniser that transformers opens."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import shrinkml
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.plan.choice import Choice
from tests.stock_models import PARTS

# Of each layer: attention, feed-forward blocks, the convolution of Conformers; and the positions of an encoder.
N_BRANCHES = {
    "whisper": 5,
    "speech_to_text": 5,
    "moonshine": 5,
    "wav2vec2": 5,
    "hubert": 5,
    "wavlm": 4,  # the others use the positions of its first attention
    "wav2vec2-conformer": 8,
    "parakeet_ctc": 8,
    "data2vec-audio": 5,
    "sew": 4,
    "unispeech": 5,
    "wav2vec2-bert": 8,
    "speech-encoder-decoder": 7,  # attention of BERT gives its weights on to its second half
}


class Block(nn.Module):
    """A norm, two linear layers, and how they are put together."""

    def __init__(self, together):
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(6), nn.Linear(6, 8), nn.Linear(8, 6)
        self.together = together

    def forward(self, x):
        return self.together(self, x)


def branches_of(together, *, n_calls=1):
    block = Block(together).eval()
    return find_residual_branches(block, lambda: [block(torch.randn(2, 5, 6)) for _ in range(n_calls)])


WHOLE = {"second": Choice(dropped=True, removes=("first", "norm"))}


@pytest.mark.parametrize(
    "together",
    [
        lambda block, x: x + block.second(F.relu(block.first(block.norm(x)))),
        lambda block, x: 0.5 * block.second(F.gelu(block.first(block.norm(x)))) + x,
        lambda block, x: x.add_(F.dropout(block.second(block.first(block.norm(x))), 0.1, training=False)),
    ],
)
def test_what_is_added_to_what_it_was_computed_from_is_a_branch_with_all_before_it(together):
    assert branches_of(together, n_calls=2) == WHOLE


def test_a_norm_behind_the_sum_is_no_part_of_it():
    found = branches_of(lambda block, x: block.norm(x + block.second(F.relu(block.first(x)))))
    assert found == {"second": Choice(dropped=True, removes=("first",))}


@pytest.mark.parametrize(
    "together",
    [
        lambda block, x: block.second(F.relu(block.first(block.norm(x)))),
        lambda block, x: x * block.second(block.first(block.norm(x))),
        lambda block, x: block.second(block.first(x)) + block.norm(torch.ones(2, 5, 6)),
        lambda block, x: x + block.second(block.first(x)).exp(),
        lambda block, x: x + (y := block.second(block.first(x))) + y.mean(),
    ],
)
def test_what_is_not_added_or_goes_elsewhere_too_is_none(together):
    assert branches_of(together) == {}


def test_what_is_used_elsewhere_too_stays_when_the_branch_is_dropped():
    found = branches_of(lambda block, x: (y := block.norm(x)) * (x + block.second(block.first(y))))
    assert found == {"second": Choice(dropped=True, removes=("first",))}


def test_a_module_whose_parts_are_called_from_elsewhere_is_none():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x):
            return self.out(x)

    block = nn.Module()
    block.part = Whole()
    x = torch.randn(2, 6)

    def run():
        stream = torch.sigmoid(x)
        return stream + block.part(block.part.inner(stream))

    assert find_residual_branches(block.eval(), run) == {}


def test_hooks_are_gone_afterwards_even_if_the_run_fails():
    block = Block(lambda block, x: x + block.second(block.first(x)))
    with pytest.raises(ZeroDivisionError):
        find_residual_branches(block, lambda: 1 / 0)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in block.modules())


def heard_by(model, waveforms):
    return [model.features(waveform) for waveform in waveforms[:1]]


@pytest.mark.parametrize("kind", [kind for kind in PARTS if kind != "whisper-multilingual"])
def test_those_of_recognisers_of_transformers_are_found(kind, stock_dir, waveforms):
    model = shrinkml.load(stock_dir(kind))
    features = heard_by(model, waveforms)
    found = find_residual_branches(model, lambda: model.teacher_forced(features, ["A"]))
    assert len(found) == N_BRANCHES[kind]
    assert not any("decoder.layers.0.fc1" in name or "norm" in name for name in found)


def test_layers_that_nothing_passes_by_are_no_branches():
    model = shrinkml.load("reference/las")
    features = [model.features(torch.randn(16_000).numpy())]
    assert find_residual_branches(model, lambda: model.teacher_forced(features, ["lights on"])) == {}
