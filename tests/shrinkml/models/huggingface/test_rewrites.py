"""Rewritten layers beside those of transformers, on the same weights."""

import pytest
import torch
import transformers
from torch import nn

from shrinkml.models.huggingface.rewrites import REWRITES, rewrite_


@pytest.fixture(params=["parakeet_ctc", "wavlm"])
def network(request, stock_dir):
    """As transformers opens it."""
    return transformers.AutoModelForCTC.from_pretrained(stock_dir(request.param)).eval()


def inputs_of(network):
    generator = torch.Generator().manual_seed(0)
    if network.main_input_name == "input_features":
        return {"input_features": torch.randn(2, 160, 16, generator=generator)}
    mask = torch.ones(2, 4_000, dtype=torch.long)
    mask[1, 3_000:] = 0
    return {"input_values": torch.randn(2, 4_000, generator=generator), "attention_mask": mask}


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # torch's, of WavLM as it was
@torch.no_grad()
def test_it_computes_the_same(network):
    inputs = inputs_of(network)
    expected = network(**inputs).logits
    rewrite_(network)
    torch.testing.assert_close(network(**inputs).logits, expected, atol=1e-5, rtol=1e-5)


def test_names_and_numbers_of_its_weights_stay(network):
    before = {name: tensor.flatten().clone() for name, tensor in network.state_dict().items()}
    rewrite_(network)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name].flatten(), tensor) for name, tensor in before.items())


@torch.no_grad()
def test_afterwards_every_linear_layer_is_called(network):
    rewrite_(network)
    called = set()
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda *_, name=name: called.add(name))
    network(**inputs_of(network))
    assert called == {name for name, module in network.named_modules() if isinstance(module, nn.Linear)}


def test_a_users_layer_of_the_same_name_is_left_alone():
    same_name = type("ParakeetEncoderCTCHead", (nn.Conv1d,), {})
    assert same_name.__name__ in REWRITES
    top = nn.Sequential(same_name(4, 2, 1))
    rewrite_(top)
    assert type(top[0]) is same_name
