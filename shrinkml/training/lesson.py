"""Lessons of a trained recogniser to a fresh one: weights that fit, and posteriors to learn."""

from collections.abc import Sequence

import torch
from torch import nn

from shrinkml.errors import ConfigError
from shrinkml.events import ShouldStop
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.manifest import Utterance
from shrinkml.training.dataset import load_dataset
from shrinkml.training.distillation import SoftTargets, soft_targets


def take_lesson_(
    model: AsrModel, teacher: AsrModel, utterances: Sequence[Utterance], *, should_stop: ShouldStop = lambda: False
) -> SoftTargets:
    """Give `model` the weights of `teacher` whose names and shapes are its own; returns the teacher's posteriors.

    Args:
        model: fresh.
        teacher: trained, with the same tokens.
        utterances: to be learnt from.
        should_stop: asked before every batch.

    Raises:
        ConfigError: they write a text in other tokens.
        StoppedError: `should_stop` said so.
    """
    for text in dict.fromkeys(utterance.text for utterance in utterances):
        if model.spelling(text) != teacher.spelling(text):
            raise ConfigError(f"the teacher writes {text!r} in other tokens; allowed: a model of the same vocabulary")
    _take_over_(model.module, teacher.module)
    return soft_targets(teacher, load_dataset(teacher, utterances), should_stop=should_stop)


@torch.no_grad()
def _take_over_(module: nn.Module, teacher: nn.Module) -> None:
    theirs = dict(teacher.named_parameters())
    for name, parameter in module.named_parameters():
        if name in theirs and theirs[name].shape == parameter.shape:
            parameter.copy_(theirs[name])
