import pytest
import torch

import shrinkml
from agents import divergences
from agents.divergences import layer_divergences
from shrinkml.compression.factorize import decompose
from shrinkml.dataset import load_dataset
from shrinkml.models.own import OwnModel
from shrinkml.speech.manifest import read_manifest


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return shrinkml.load(tiny_model_dir)


@pytest.fixture(scope="module")
def speech(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"]))


def test_layers_that_are_heard_are_told_of_and_the_seed_decides(model, speech):
    found = decompose(model.module)
    one, same, other = (layer_divergences(model, found, speech, seed=seed) for seed in (0, 0, 1))
    assert one == same != other
    assert set(one) == set(found)
    silent = {name for name, row in one.items() if row[0] == 0.0}
    assert silent == {"ctc.weight"}  # transcripts are read from the decoder


def test_a_module_without_scores_tells_nothing(speech):
    module = torch.nn.Linear(2, 2)
    own = OwnModel(module, lambda m, f, t: m(torch.ones(1, 2)).sum(), lambda m, f: ["" for _ in f])
    assert layer_divergences(own, decompose(module), speech, seed=0) == {}


def test_memory_decides_how_many_utterances_are_heard_at_a_time_and_whether_any(model, speech, monkeypatch):
    few, found, heard = speech.subset(range(5)), decompose(model.module), []
    teacher_forced = model.teacher_forced
    monkeypatch.setattr(model, "teacher_forced", lambda f, t: heard.append(len(f)) or teacher_forced(f, t))
    monkeypatch.setattr(divergences, "BATCH_SIZE", 5)
    assert layer_divergences(model, found, few, seed=0)
    assert heard[-1] == 5
    sizes = divergences.use_of_the_longest(model, few)
    monkeypatch.setattr(divergences, "MOST_BYTES", 2 * 4 * sum(use.largest for use in sizes.values()))
    heard.clear()
    assert layer_divergences(model, found, few, seed=0)
    assert heard[-3:] == [2, 2, 1]
    monkeypatch.setattr(divergences, "MOST_BYTES", 1)
    assert layer_divergences(model, found, few, seed=0) == {}
