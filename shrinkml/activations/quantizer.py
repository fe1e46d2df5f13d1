"""A module that rounds what passes through it, on a grid over the range that it has seen.

References:
    Prato et al. 2020, arXiv:1910.10485: running minima and maxima, an exponential average of momentum 0.9.
"""

import torch
from torch import Tensor, nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.grid import Grid, grid_between

MOMENTUM = 0.9  # share of the range before in the range after a batch


class Quantizer(nn.Module):
    """Rounds activations; in training, the range follows those of the batches.

    Attributes:
        spec: of the rounding.
        watching: True while ranges are observed and nothing is rounded.
        low: scalar, the running minimum; above `high` before anything was seen.
        high: scalar, the running maximum.
    """

    low: Tensor
    high: Tensor

    def __init__(self, spec: ActivationSpec) -> None:
        """A quantizer that has seen nothing."""
        super().__init__()
        self.spec = spec
        self.watching = False
        self.register_buffer("low", torch.tensor(1.0))
        self.register_buffer("high", torch.tensor(0.0))
        self._last: tuple[tuple[int, ...], Grid] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`x` [...], rounded; as it is where ranges are observed alone."""
        if (self.watching or self.training) and x.numel():
            self._observe(x.detach())
        return x if self.watching else self.grid.rounded(x)

    @property
    def is_empty(self) -> bool:
        """True where nothing was seen."""
        return bool(self.low > self.high)

    @property
    def grid(self) -> Grid:
        """The grid over the present range; made anew where that has changed."""
        parts = self.low, self.high
        if any(part.is_inference() for part in parts):
            return grid_between(*parts, self.spec)
        now = tuple(number for part in parts for number in (part.data_ptr(), part._version))
        if self._last is None or self._last[0] != now:
            self._last = now, grid_between(*parts, self.spec)
        return self._last[1]

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        low, high = x.float().aminmax()
        if self.is_empty:
            self.low.copy_(low)
            self.high.copy_(high)
        else:
            self.low.lerp_(low, 1 - MOMENTUM)
            self.high.lerp_(high, 1 - MOMENTUM)

    def extra_repr(self) -> str:
        """The rounding and the range, for `print`."""
        low, high = float(self.low), float(self.high)
        return f"bits={self.spec.bits}, scales={self.spec.scales}, low={low:.4g}, high={high:.4g}"
