"""Transcribed speech as a model hears it: features extracted once, used many times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from shrinkml.errors import AudioError
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import Utterance


@dataclass(frozen=True, slots=True)
class Dataset:
    """Utterances ready for a model; the four lists run in parallel.

    Attributes:
        features: [frames, dims] each; none where nothing is to be heard.
        texts: references.
        durations_s: seconds of audio.
        speakers: who speaks; None where unknown.
    """

    features: list[Tensor]
    texts: list[str]
    durations_s: list[float]
    speakers: list[str | None]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def audio_s(self) -> float:
        """Seconds of audio in all."""
        return sum(self.durations_s)

    def subset(self, indices: Sequence[int]) -> "Dataset":
        """The utterances at `indices`, in that order."""
        return Dataset(
            [self.features[i] for i in indices],
            [self.texts[i] for i in indices],
            [self.durations_s[i] for i in indices],
            [self.speakers[i] for i in indices],
        )

    def with_texts(self, texts: Sequence[str]) -> "Dataset":
        """The same utterances with other transcripts."""
        return Dataset(self.features, list(texts), self.durations_s, self.speakers)

    def batches(self, batch_size: int) -> Iterator[list[int]]:
        """Indices of utterances in batches of similar length, longest first, so that little is padded."""
        order = sorted(range(len(self)), key=lambda i: (-len(self.features[i]), i))
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


def load_dataset(model: AsrModel, utterances: Sequence[Utterance]) -> Dataset:
    """The features of `utterances` as `model` wants them.

    Raises:
        AudioError: an audio file that cannot be read, or that the model cannot hear; the message names it.
    """
    with torch.no_grad():
        features = [_heard(model, u.audio) for u in utterances]
    return replace(unheard(utterances), features=features)


def unheard(utterances: Sequence[Utterance]) -> Dataset:
    """`utterances` as a set without features: what others heard in them is compared with it."""
    return Dataset(
        [], [u.text for u in utterances], [u.duration_s for u in utterances], [u.speaker for u in utterances]
    )


def _heard(model: AsrModel, audio: Path) -> Tensor:
    waveform = read_audio(audio, model.sample_rate_hz)
    try:
        return model.features(waveform)
    except AudioError as error:
        raise AudioError(f"{audio}: {error}") from error
