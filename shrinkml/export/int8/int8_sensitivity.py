"""Layers that are not for int8: those that alone, in int8, move the posteriors of a few utterances too far."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.export.drawn import Drawn
from shrinkml.export.few_utterances import first_few
from shrinkml.export.graph import Storage
from shrinkml.export.parity import fed
from shrinkml.models.heads import transcript_head
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance

# Nats per token that one layer in int8 may move the posteriors; all at once move those of the bundled models by less
# than a tenth of it.
MOST_DIVERGENCE = 1e-3
# Utterances that show which layers int8 would harm: at most so many, and where they are long, no more than so many
# seconds of speech together, as a divergence is as sure as there are tokens in it.
N_PROBED = 16
PROBED_S = 40.0


def sensitive_layers(
    model: AsrModel,
    drawn: Drawn,
    speech: Sequence[Utterance],
    most: float = MOST_DIVERGENCE,
    *,
    should_stop: ShouldStop = lambda: False,
) -> frozenset[str]:
    """Layers that move the posteriors by more than `most` nats per token of what was said when they alone are int8.

    Measured in ONNX Runtime, on the graphs that are written.

    Args:
        model: a recogniser.
        drawn: its graphs.
        speech: the first of it are heard, N_PROBED and PROBED_S of them at most.
        most: of a layer that may be int8.
        should_stop: whether to end early.

    Raises:
        AudioError: speech that cannot be read.
        StoppedError: `should_stop`, asked before every group of layers, said so.
    """
    speech = first_few(speech, most=N_PROBED, seconds=PROBED_S)
    waveforms = [read_audio(utterance.audio, model.sample_rate_hz) for utterance in speech]
    with torch.no_grad():
        features = [model.features(waveform) for waveform in waveforms]
        tokens = fed(transcript_head(model.teacher_forced(features, [utterance.text for utterance in speech])))
    n_tokens, every = sum(len(row) + 1 for row in tokens), frozenset(drawn.layers)

    with drawn.trials() as opened:

        def scores(storage: Storage) -> np.ndarray:
            if should_stop():
                raise StoppedError("stopped while looking for layers that int8 would harm")
            return opened(storage).scores(waveforms, tokens)

        reference = scores(Storage(half=True))

        def loss(some: Sequence[str]) -> float:
            return divergence(reference, scores(Storage(half=True, int8=True, kept=every - {*some}))) / n_tokens

        return frozenset(guilty(drawn.layers, loss, most))


def guilty(layers: Sequence[str], loss: Callable[[Sequence[str]], float], most: float) -> list[str]:
    """Those of `layers` whose `loss` alone is above `most`.

    Layers that together do no more are not looked at one by one, so that few that are guilty are found in few steps.

    References:
        Dorfman 1943, The detection of defective members of large populations.
    """
    if not layers or loss(layers) <= most:
        return []
    if len(layers) == 1:
        return list(layers)
    half = len(layers) // 2
    return guilty(layers[:half], loss, most) + guilty(layers[half:], loss, most)


def divergence(reference: np.ndarray, scores: np.ndarray) -> float:
    """Kullback-Leibler divergence of the posteriors by `scores` from those by `reference` [steps, vocabulary].

    In nats, summed over the steps.
    """
    before, after = _log_softmax(reference), _log_softmax(scores)
    return float((np.exp(before) * (before - after)).sum())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = logits.astype(np.float64)  # in single precision, rounding would drown small divergences
    shifted -= shifted.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
