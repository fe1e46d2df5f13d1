"""The memory that a training step takes for the outputs of layers, and how many utterances fit into it at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from shrinkml.activations.observing import ranges_kept
from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset

GRADIENTS = 1.9  # the whole of a step over what is kept for its way back: gradients, and pieces that nothing fits into


def activation_bytes(module: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes that `loss()` keeps for its gradient beside the weights of `module`, each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no other takes the place of one that was counted

    def pack(tensor: Tensor) -> None:
        """Give autograd nothing to keep: a tensor that it keeps for the step that made it is never freed."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage

    def unpack(nothing: None) -> Tensor:
        raise RuntimeError("a loss that was only measured has no gradient")

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        loss()
    return sum(storage.nbytes() for storage in kept.values())


def utterances_at_a_time(
    model: AsrModel, speech: Dataset, *, memory_bytes: int, batch_size: int, mixed_precision: bool = False
) -> int:
    """The number of utterances, up to `batch_size`, whose step takes no more than `memory_bytes` for outputs of layers.

    Measured on one and on two utterances of the greatest length that may come: as long as the model hears at once,
    where that has an end, because silence behind an utterance takes memory as well; else the longest of `speech`. Two
    take less than twice as much as one where weights are rounded, whose rounded ones are kept once.

    Args:
        model: to be trained.
        speech: to learn from.
        memory_bytes: that a step may take.
        batch_size: utterances of a step.
        mixed_precision: as it is to be trained; see `shrinkml.training.train.train`.
    """
    longest = max(range(len(speech)), key=lambda i: len(speech.features[i]))
    features, text = _longest_features(model), speech.texts[longest]
    features = speech.features[longest] if features is None else features

    device = next(model.module.parameters()).device

    def loss_of(n: int) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
            return model.loss(model.teacher_forced([features] * n, [text] * n))

    training = model.module.training
    with torch.random.fork_rng(devices=[]), ranges_kept(model.module):  # noise is no speech
        model.module.train()
        one, two = (activation_bytes(model.module, partial(loss_of, n)) for n in (1, 2))
    model.module.train(training)
    further = int((memory_bytes / GRADIENTS - one) / max(1, two - one))
    return max(1, min(batch_size, 1 + further))


def _longest_features(model: AsrModel) -> Tensor | None:
    """The features of noise that lasts as long as the model hears at once; None where it hears any length."""
    if model.longest_s is None:
        return None
    n_samples = int(model.longest_s * model.sample_rate_hz)
    noise = np.random.default_rng(0).normal(0.0, 0.1, n_samples).astype(np.float32)
    return model.features(noise)
