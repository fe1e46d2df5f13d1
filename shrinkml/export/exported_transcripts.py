"""Transcripts of files by an exported recogniser."""

from collections.abc import Sequence

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance

BATCH_SIZE = 16


def transcripts(
    recogniser: OnnxRecogniser, utterances: Sequence[Utterance], *, should_stop: ShouldStop = lambda: False
) -> list[str]:
    """One transcript per utterance, those of similar length heard together.

    Raises:
        AudioError: speech that cannot be read.
        StoppedError: `should_stop`, asked before every batch, said so.
    """
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration_s)
    heard: dict[int, str] = {}
    for start in range(0, len(order), BATCH_SIZE):
        if should_stop():
            raise StoppedError("stopped while an exported recogniser transcribed")
        batch = order[start : start + BATCH_SIZE]
        waveforms = [read_audio(utterances[i].audio, recogniser.recipe.sample_rate_hz) for i in batch]
        heard.update(zip(batch, recogniser.transcribe(waveforms), strict=True))
    return [heard[i] for i in range(len(utterances))]
