"""The memory that a training step takes for the outputs of layers, and how many utterances fit into it at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset

GRADIENTS = 1.9  # the whole of a step over what is kept for its way back: gradients, and pieces that nothing fits into


def activation_bytes(module: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes that `loss()` keeps for its gradient beside the weights of `module`, each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = loss()
    del result
    return sum(kept.values())


def utterances_at_a_time(model: AsrModel, speech: Dataset, *, memory_bytes: int, batch_size: int) -> int:
    """The number of utterances, up to `batch_size`, whose step takes no more than `memory_bytes` for outputs of layers.

    Measured on one utterance of the greatest length that may come: as long as the model hears at once, where that has
    an end, because silence behind an utterance takes memory as well; else the longest of `speech`.

    Args:
        model: to be trained.
        speech: to learn from.
        memory_bytes: that a step may take.
        batch_size: utterances of a step.
    """
    longest = max(range(len(speech)), key=lambda i: len(speech.features[i]))
    features = _longest_features(model)
    features = speech.features[longest] if features is None else features
    training = model.module.training
    with torch.random.fork_rng(devices=[]):
        model.module.train()
        each = activation_bytes(
            model.module, lambda: model.loss(model.teacher_forced([features], [speech.texts[longest]]))
        )
    model.module.train(training)
    return max(1, min(batch_size, int(memory_bytes / (GRADIENTS * max(1, each)))))


def _longest_features(model: AsrModel) -> Tensor | None:
    """The features of noise that lasts as long as the model hears at once; None where it hears any length."""
    if model.longest_s is None:
        return None
    n_samples = int(model.longest_s * model.sample_rate_hz)
    noise = np.random.default_rng(0).normal(0.0, 0.1, n_samples).astype(np.float32)
    return model.features(noise)
