"""Changes to log-mel features that leave the words as they are: training hears more voices than were recorded.

References:
    Park et al. 2019, SpecAugment, arXiv:1904.08779 (masks only, no time warping).
    Jaitly and Hinton 2013, Vocal Tract Length Perturbation (VTLP) improves speech recognition, ICML workshop on deep
    learning for audio, speech and language processing (here one linear stretch of the mel axis).
"""

import torch
from torch import Tensor

MAX_MASKED_BINS = 0.2  # of the bins, for each of two frequency masks
MAX_MASKED_FRAMES = 0.1  # of the frames, for each of two time masks


def warped(features: Tensor, warp: float) -> Tensor:
    """`features` [frames, bins] as a longer or shorter vocal tract would have given them.

    Args:
        features: log-mel energies.
        warp: the mel axis is stretched by a factor drawn from 1 - warp to 1 + warp; 0 changes nothing.
    """
    if not warp:
        return features
    bins = features.shape[1]
    factor = 1 + warp * (2 * float(torch.rand(())) - 1)
    source = (torch.arange(bins) * factor).clamp(max=bins - 1)
    below = source.long().clamp(max=bins - 2)
    return torch.lerp(features[:, below], features[:, below + 1], source - below)


def masked(features: Tensor) -> Tensor:
    """`features` [frames, bins] with two bands of bins and two spans of frames set to zero, the mean.

    A waveform [samples, 1] has no bins to spare and loses spans alone.
    """
    features = features.clone()
    frames, bins = features.shape
    for _ in range(2):
        if bins > 1:
            low, width = _band(bins, MAX_MASKED_BINS)
            features[:, low : low + width] = 0.0
        first, length = _band(frames, MAX_MASKED_FRAMES)
        features[first : first + length] = 0.0
    return features


def _band(size: int, largest: float) -> tuple[int, int]:
    width = int(torch.randint(0, max(1, int(size * largest)) + 1, ()))
    return int(torch.randint(0, size - width + 1, ())), width
