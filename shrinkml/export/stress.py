"""Speech that quantization is known to break first: long utterances, and silence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.normalisers import DEFAULT
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance

LONG_S = 20.0  # of a long utterance, at least, where the recogniser hears as much at once
SILENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Stress:
    """Errors of a recogniser and its export on such speech, one utterance at a time.

    Attributes:
        n_long: utterances, joined from shorter ones.
        longest_s: the longest of them.
        long_wer: of the recogniser on them.
        long_wer_exported: of the export.
        silence_words: that the recogniser hears in digital silence.
        silence_words_exported: that the export does.
    """

    n_long: int
    longest_s: float
    long_wer: float
    long_wer_exported: float
    silence_words: int
    silence_words_exported: int


def stress(
    model: AsrModel, exported: OnnxRecogniser, utterances: Sequence[Utterance], *, normaliser: str = DEFAULT
) -> Stress:
    """`exported` beside `model`, on the CPU, on `utterances` joined end to end and on silence.

    Raises:
        AudioError: speech that cannot be read.
    """
    rate = model.sample_rate_hz
    most = exported.recipe.longest_samples
    groups = _joined(utterances, LONG_S if most is None else min(LONG_S, most / rate), most and most / rate)
    waveforms = [np.concatenate([read_audio(one.audio, rate) for one in group]) for group in groups]
    texts = [" ".join(one.text for one in group) for group in groups]
    silence = np.zeros(int(SILENCE_S * rate), np.float32)
    heard = [model.transcribe([model.features(waveform)])[0] for waveform in (*waveforms, silence)]
    heard_exported = [exported.transcribe([waveform])[0] for waveform in (*waveforms, silence)]
    return Stress(
        n_long=len(groups),
        longest_s=max(map(len, waveforms)) / rate,
        long_wer=word_errors(texts, heard[:-1], normaliser=normaliser).wer,
        long_wer_exported=word_errors(texts, heard_exported[:-1], normaliser=normaliser).wer,
        silence_words=len(heard[-1].split()),
        silence_words_exported=len(heard_exported[-1].split()),
    )


def _joined(utterances: Sequence[Utterance], least_s: float, most_s: float | None) -> list[list[Utterance]]:
    """`utterances` in groups of `least_s` seconds or, where no more is heard at once, nearly `most_s`.

    What is left of them in the end is too short, and dropped unless it is all.
    """
    groups: list[list[Utterance]] = [[]]
    for one in utterances:
        now_s = sum(other.duration_s for other in groups[-1])
        if now_s >= least_s or (groups[-1] and most_s is not None and now_s + one.duration_s > most_s):
            groups.append([])
        groups[-1].append(one)
    short = sum(one.duration_s for one in groups[-1]) < least_s
    return groups[:-1] if short and len(groups) > 1 else groups
