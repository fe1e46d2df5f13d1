import gc

import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers
from shrinkml.compression.surgery import merge
from shrinkml.errors import ConfigError, StoppedError
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.heads import ATTENTION
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import soft_targets
from shrinkml.training.train import train

WORDS = ("red", "green", "lamp", "on", "off")


def las(seed: int) -> Las:
    torch.manual_seed(seed)
    shape = LasConfig(n_mels=8, stack=2, hidden=16, decoder=16, embedding=6, dropout=0.0)
    return Las(shape, Tokenizer.from_texts([" ".join(WORDS)], "word"))


@pytest.fixture
def dataset() -> Dataset:
    """Forty utterances in which every word is a pattern of its own, with noise: easy to learn, not trivial."""
    generator = torch.Generator().manual_seed(2)
    patterns = torch.randn(len(WORDS), 12, 8, generator=generator)
    features, texts = [], []
    for _ in range(40):
        chosen = torch.randint(len(WORDS), (3,), generator=generator).tolist()
        clean = torch.cat([patterns[i] for i in chosen])
        features.append(clean + 0.1 * torch.randn(clean.shape, generator=generator))
        texts.append(" ".join(WORDS[i] for i in chosen))
    return Dataset(features, texts, [0.36] * 40, [None] * 40)


SETTINGS = {"learning_rate": 1e-2, "batch_size": 8, "seed": 3}


def test_training_learns(dataset):
    model = las(0)
    before = word_error_rate(model, dataset)
    train(model, dataset, epochs=30, **SETTINGS)
    assert word_error_rate(model, dataset) < 0.1 < before


def test_no_epochs_change_nothing(dataset):
    model, same = las(0), las(0)
    train(model, dataset, epochs=0, **SETTINGS)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_nothing_but_the_weights_is_kept_of_a_training(dataset):
    model = las(0)
    train(model, dataset, epochs=1, **SETTINGS)
    assert all(parameter.grad is None for parameter in model.parameters())
    optimizers = [each for each in gc.get_objects() if isinstance(each, torch.optim.AdamW)]
    assert not any(optimizer.state for optimizer in optimizers)  # they refer to themselves, and stay for a while


def test_a_student_comes_closer_to_its_teacher_than_without(dataset):
    teacher, student, alone = las(0), las(1), las(1)
    train(teacher, dataset, epochs=20, **SETTINGS)
    train(student, dataset, epochs=4, soft_targets=soft_targets(teacher, dataset), **SETTINGS)
    train(alone, dataset, epochs=4, **SETTINGS)
    assert divergence(teacher, student, dataset) < divergence(teacher, alone, dataset)


@pytest.mark.parametrize("choice", [Choice(bits=2), Choice(bits=3, sparsity=0.7), Choice(rank=6, sparsity=0.5)])
def test_a_model_in_few_bits_or_with_zeros_learns_as_it_is(dataset, choice):
    model = las(0)
    train(model, dataset, epochs=20, **SETTINGS)
    plan = CompressionPlan({layer.name: choice for layer in find_layers(model)})
    small = factorize(model, plan, decompose(model))
    before, masks = divergence(model, small, dataset), masks_of(small)
    train(small, dataset, epochs=8, soft_targets=soft_targets(model, dataset), **SETTINGS)
    assert divergence(model, small, dataset) < before / 2
    assert current_plan(small) == plan
    assert divergence(small, merge(small), dataset) < 1e-5, "what multiplies is what is rounded"
    assert all(torch.equal(mask, masks[name]) for name, mask in masks_of(small).items())


def masks_of(model):
    return {name: part.clone() for name, part in model.state_dict().items() if name.endswith("_mask")}


@torch.no_grad()
def divergence(teacher: Las, student: Las, dataset: Dataset) -> float:
    ours = student.teacher_forced(dataset.features, dataset.texts)[ATTENTION].logits.log_softmax(-1)
    theirs = teacher.teacher_forced(dataset.features, dataset.texts)[ATTENTION].logits.log_softmax(-1)
    return torch.nn.functional.kl_div(ours, theirs, reduction="batchmean", log_target=True).item()


def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(dataset, tmp_path):
    whole = las(0)
    train(whole, dataset, epochs=4, **SETTINGS)

    epochs = []
    with pytest.raises(StoppedError, match="training stopped in epoch 3 of 4"):
        train(
            las(0),
            dataset,
            epochs=4,
            state_file=tmp_path / "state",
            on_epoch=epochs.append,
            should_stop=lambda: len(epochs) == 2,
            **SETTINGS,
        )
    resumed = las(7)  # whatever it starts from, the state file decides
    train(resumed, dataset, epochs=4, state_file=tmp_path / "state", on_epoch=epochs.append, **SETTINGS)

    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_callers_random_numbers_are_left_alone(dataset):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(las(0), dataset, epochs=1, **SETTINGS)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected)


def test_the_state_of_another_training_is_refused(dataset, tmp_path):
    train(las(0), dataset, epochs=1, state_file=tmp_path / "state", **SETTINGS)
    with pytest.raises(ConfigError, match="is the state of another training; remove it"):
        train(las(0), dataset, epochs=2, state_file=tmp_path / "state", **SETTINGS)
