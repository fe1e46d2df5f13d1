"""Positions as sines and cosines, from one per step to one in 10,000 * 2 pi.

References:
    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762 (section 3.5; here all sines before all cosines).
"""

import math

import numpy as np
import torch
from torch import Tensor

LONGEST = 10_000.0  # the slowest wave turns by one radian in so many steps


def rates(hidden: int) -> np.ndarray:
    """[hidden / 2] radians per step of each wave, float32."""
    exponents = np.arange(hidden // 2) / (hidden // 2)
    return np.exp(-math.log(LONGEST) * exponents).astype(np.float32)


def sinusoids(states: Tensor, first: int = 0) -> Tensor:
    """[steps, hidden]: the positions of the steps of `states` [batch, steps, hidden], counted from `first`."""
    _, n, hidden = states.shape
    steps = torch.arange(first, first + n, device=states.device)
    angles = steps[:, None] * torch.from_numpy(rates(hidden)).to(states.device)
    return torch.cat((angles.sin(), angles.cos()), 1)
