"""Transcripts of files by an exported recogniser."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance

BATCH_SIZE = 16


def transcripts(
    recogniser: OnnxRecogniser,
    utterances: Sequence[Utterance],
    *,
    at_once: int = 1,
    should_stop: ShouldStop = lambda: False,
) -> list[str]:
    """One transcript per utterance, those of similar length heard together.

    Args:
        recogniser: of one thread where several batches are heard at once.
        utterances: what is heard.
        at_once: batches that are heard at the same time, each on a thread: small products are no faster on several.
        should_stop: whether to end early.

    Raises:
        AudioError: speech that cannot be read.
        StoppedError: `should_stop`, asked before every batch, said so.
    """
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration_s)

    def heard(batch: Sequence[int]) -> list[str]:
        if should_stop():
            raise StoppedError("stopped while an exported recogniser transcribed")
        waveforms = [read_audio(utterances[i].audio, recogniser.recipe.sample_rate_hz) for i in batch]
        return recogniser.transcribe(waveforms)

    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    with ThreadPoolExecutor(at_once) as threads:
        texts = [text for written in threads.map(heard, batches) for text in written]
    return [text for _, text in sorted(zip(order, texts, strict=True))]
