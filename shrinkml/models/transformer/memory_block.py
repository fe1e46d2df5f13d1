"""The memory block of an encoder layer: a filter over the values of its attention.

References:
    Gao et al. 2020, SAN-M: Memory Equipped Self-Attention for End-to-End Speech Recognition, arXiv:2006.01713.
    Zhang et al. 2018, Deep-FSMN for large vocabulary continuous speech recognition, arXiv:1803.05030 (the filter).
"""

from torch import Tensor, nn


class MemoryBlock(nn.Module):
    """A finite impulse response (FIR) filter of each unit over the steps around it, added to the unit.

    Args:
        hidden: units.
        taps: steps that are filtered, the unit's own in the middle; odd.
    """

    def __init__(self, hidden: int, taps: int) -> None:
        super().__init__()
        self.filter = nn.Conv1d(hidden, hidden, taps, padding=taps // 2, groups=hidden, bias=False)

    def forward(self, values: Tensor, inside: Tensor) -> Tensor:
        """[batch, steps, hidden] of `values` [batch, steps, hidden], of which those `inside` [batch, steps] count."""
        values = values * inside[..., None]
        filtered: Tensor = self.filter(values.transpose(1, 2)).transpose(1, 2)
        return values + filtered
