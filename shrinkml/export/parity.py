"""How far an exported recogniser is from the one that it came of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.protocol import IGNORE, AsrModel, TeacherForced
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class Parity:
    """What both make of the same speech.

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


def fed(forced: TeacherForced) -> list[list[int]]:
    """The tokens that a decoder was fed behind its start: the targets but the end, which the last is followed by."""
    return [row[row != IGNORE][:-1].tolist() for row in forced.targets.numpy()]


def _largest_difference(
    model: AsrModel, exported: OnnxRecogniser, waveforms: Sequence[np.ndarray], texts: Sequence[str]
) -> float:
    forced = model.teacher_forced([model.features(waveform) for waveform in waveforms], texts)
    if exported.recipe.state:
        inside = (forced.targets != IGNORE).numpy()
        return float(np.abs(exported.logits(waveforms, fed(forced)) - forced.logits.numpy())[inside].max())
    assert forced.ctc_logits is not None, "scores come from a decoder or from a CTC head"
    frames = zip(exported.frames(waveforms), forced.ctc_logits.numpy(), strict=True)
    return max(float(np.abs(ours - theirs[: len(ours)]).max()) for ours, theirs in frames)
