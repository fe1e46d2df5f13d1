"""Transcripts of audio files of any length."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from shrinkml.measure.evaluation import transcripts
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.long_audio import cut_where_quiet
from shrinkml.training.dataset import Dataset


def transcribe_files(model: AsrModel, files: Sequence[Path], *, batch_size: int = 32, beam: int = 1) -> list[str]:
    """A transcript of each of `files`; what is longer than `model` hears at once is cut where it is quiet.

    Raises:
        AudioError: a file that cannot be read.
    """
    features: list[Tensor] = []  # of parts, and whose they are
    whose: list[int] = []
    with torch.no_grad():
        for i, file in enumerate(files):
            waveform = read_audio(file, model.sample_rate_hz)
            for part in cut_where_quiet(waveform, model.sample_rate_hz, model.longest_s):
                features.append(model.features(part))
                whose.append(i)
    n = len(features)
    parts = Dataset(features, [""] * n, [0.0] * n, [None] * n)
    heard = transcripts(model, parts, batch_size=batch_size, beam=beam)
    texts: list[list[str]] = [[] for _ in files]
    for i, text in zip(whose, heard, strict=True):
        texts[i] += [text] * bool(text)
    return [" ".join(spoken) for spoken in texts]
