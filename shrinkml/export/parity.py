"""Differences between an exported recogniser and the one that it came of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import Head, transcript_head
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class Parity:
    """Agreement of both on the same speech.

    Attributes:
        n_utterances: that both heard.
        same_transcripts: of how many utterances.
        largest_difference: between two scores (logits), fed the references where there is a decoder.
    """

    n_utterances: int
    same_transcripts: int
    largest_difference: float


@torch.no_grad()
def compare(model: AsrModel, exported: OnnxRecogniser, utterances: Sequence[Utterance]) -> Parity:
    """`exported` beside `model`, on the CPU, in batches.

    Raises:
        AudioError: speech that cannot be read.
    """
    same, largest = 0, 0.0
    for start in range(0, len(utterances), BATCH_SIZE):
        batch = utterances[start : start + BATCH_SIZE]
        waveforms = [read_audio(utterance.audio, model.sample_rate_hz) for utterance in batch]
        texts = [utterance.text for utterance in batch]
        heard = model.transcribe([model.features(waveform) for waveform in waveforms])
        same += sum(a == b for a, b in zip(heard, exported.transcribe(waveforms), strict=True))
        largest = max(largest, _largest_difference(model, exported, waveforms, texts))
    return Parity(len(utterances), same, largest)


def fed(head: Head) -> list[list[int]]:
    """The tokens that a decoder was fed behind its start: the targets but the end, which the last is followed by."""
    return [row[:-1] for row in head.tokens()]


def _largest_difference(
    model: AsrModel, exported: OnnxRecogniser, waveforms: Sequence[np.ndarray], texts: Sequence[str]
) -> float:
    head = transcript_head(model.teacher_forced([model.features(waveform) for waveform in waveforms], texts))
    pairs = zip(exported.rows(waveforms, fed(head)), head.rows(), strict=True)
    return max(float(np.abs(ours - theirs.numpy()).max()) for ours, theirs in pairs)
