"""The reference Whisper, and layers whose kept outputs can be counted by hand."""

import gc
import weakref

import pytest
import torch
from torch import nn

import shrinkml
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.activation_memory import activation_bytes, utterances_at_a_time
from shrinkml.training.dataset import load_dataset
from shrinkml.training.train import train


def test_what_a_layer_keeps_for_its_gradient_is_counted_once_and_its_weights_are_not():
    layer = nn.Linear(8, 8)
    inputs = torch.randn(100, 8)
    assert activation_bytes(layer, lambda: layer(inputs).sum()) == inputs.nbytes
    both = nn.Sequential(layer, nn.ReLU(), layer)
    assert activation_bytes(both, lambda: both(inputs).sum()) == 2 * inputs.nbytes  # ReLU's output is an input


def test_nothing_of_what_was_measured_is_kept():
    layer, seen = nn.Linear(8, 8), []

    def loss():
        output = layer(torch.randn(100, 8)).exp()  # kept by the very step that makes it
        seen.append(weakref.ref(output.untyped_storage()))
        return output.sum()

    assert activation_bytes(layer, loss) == 2 * 100 * 8 * 4
    gc.collect()
    assert seen[0]() is None


@pytest.fixture(scope="module")
def speech(tiny_data):
    model = shrinkml.load("reference/whisper")
    return load_dataset(model, read_manifest(tiny_data["train"])[:6])


def test_as_many_utterances_as_fit_are_learned_from_at_a_time(speech):
    model = shrinkml.load("reference/whisper")
    plenty = utterances_at_a_time(model, speech, memory_bytes=2**40, batch_size=6)
    none = utterances_at_a_time(model, speech, memory_bytes=1, batch_size=6)
    assert (plenty, none) == (6, 1)
    few = [utterances_at_a_time(model, speech, memory_bytes=n * 2**20, batch_size=1000) for n in (200, 400)]
    assert few[1] == pytest.approx(2 * few[0], abs=1)
    assert not model.module.training


def test_a_batch_learned_in_parts_gives_nearly_the_same_weights(tiny_model_dir, tiny_data):
    def trained(memory_bytes):
        model = shrinkml.load(tiny_model_dir)
        dataset = load_dataset(model, read_manifest(tiny_data["train"]))
        train(model, dataset, epochs=1, learning_rate=1e-4, batch_size=12, seed=0, memory_bytes=memory_bytes)
        return torch.cat([parameter.detach().flatten() for parameter in model.module.parameters()])

    before = torch.cat([p.detach().flatten() for p in shrinkml.load(tiny_model_dir).module.parameters()])
    whole, parts, plenty = trained(None), trained(10), trained(2**40)
    assert torch.equal(whole, plenty)
    assert float((whole - parts).norm() / (whole - before).norm()) < 0.5
