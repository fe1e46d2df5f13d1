"""Layer normalisation whose steps can be rounded.

References:
    Prato et al. 2020, arXiv:1910.10485: what is rounded of it.
"""

import torch
from torch import Tensor, nn

from shrinkml.activations.places import divisor_at, rounded_at, rounds
from shrinkml.activations.weight_rounding import rounded_weight

CENTRED, ROOT, QUOTIENT = "centred", "root", "quotient"


class Norm(nn.LayerNorm):
    """Layer normalisation over the last axis; what takes its output rounds that."""

    rounded_places = (CENTRED, ROOT, QUOTIENT)

    def forward(self, input: Tensor) -> Tensor:
        """[..., units] to [..., units], each with zero mean and unit variance, scaled and shifted as was learnt."""
        if not rounds(self):
            return super().forward(input)
        centred = rounded_at(self, CENTRED, input - input.mean(-1, keepdim=True))
        root = divisor_at(self, ROOT, torch.sqrt(centred.square().mean(-1, keepdim=True) + self.eps))
        quotient = rounded_at(self, QUOTIENT, centred / root)
        return quotient * rounded_weight(self, self.weight[None])[0] + self.bias
