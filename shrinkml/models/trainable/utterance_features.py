"""Log-mel features of a whole utterance, normalised over it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shrinkml.speech.features import log_mel

QUIETEST = 0.0  # log-mel energy; rounding to 16 bits leaves about as much, digital silence would lie 16 below
SPREAD_EPSILON = 1e-3  # added to the standard deviation of each bin: silence has none
MIN_FRAMES = 8  # shorter inputs are padded with silence, so that every step of an encoder has a frame


def normalised_log_mel(waveform: np.ndarray, sample_rate_hz: int, *, n_mels: int) -> Tensor:
    """[frames, n_mels] log-mel of `waveform`, zero mean and unit variance per bin over the utterance.

    Energies below `QUIETEST` are raised to it: gaps of digital silence would be most of the variance.

    Args:
        waveform: [samples] mono float32 in [-1, 1], at least one frame long.
        sample_rate_hz: of the waveform.
        n_mels: mel bins.

    Raises:
        AudioError: the waveform is shorter than one frame.
    """
    mel = torch.from_numpy(log_mel(waveform, sample_rate_hz, n_mels=n_mels)).clamp(min=QUIETEST)
    if len(mel) < MIN_FRAMES:
        mel = F.pad(mel, (0, 0, 0, MIN_FRAMES - len(mel)))
    return (mel - mel.mean(0)) / (mel.std(0) + SPREAD_EPSILON)
