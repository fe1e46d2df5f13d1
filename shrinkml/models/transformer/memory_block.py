"""The memory block of an encoder layer: a filter over the values of its attention.

References:
    Gao et al. 2020, SAN-M: Memory Equipped Self-Attention for End-to-End Speech Recognition, arXiv:2006.01713.
    Zhang et al. 2018, Deep-FSMN for large vocabulary continuous speech recognition, arXiv:1803.05030 (the filter).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.activations.places import rounded_at
from shrinkml.activations.weight_rounding import rounded_weight

FILTERED = "filtered"


class MemoryBlock(nn.Module):
    """A finite impulse response (FIR) filter of each unit over the steps around it, added to the unit.

    Args:
        hidden: units.
        taps: steps that are filtered, the unit's own in the middle; odd.
    """

    rounded_places = (FILTERED,)

    def __init__(self, hidden: int, taps: int) -> None:
        super().__init__()
        self.filter = nn.Conv1d(hidden, hidden, taps, padding=taps // 2, groups=hidden, bias=False)

    def forward(self, values: Tensor, inside: Tensor) -> Tensor:
        """[batch, steps, hidden] of `values` [batch, steps, hidden], of which those `inside` [batch, steps] count."""
        values = rounded_at(self, FILTERED, values * inside[..., None])
        taps = rounded_weight(self, self.filter.weight)
        padding, groups = self.filter.padding[0], self.filter.groups
        filtered = F.conv1d(values.transpose(1, 2), taps, padding=padding, groups=groups)
        return values + filtered.transpose(1, 2)
