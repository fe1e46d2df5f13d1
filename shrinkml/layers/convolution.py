"""A convolution whose weight, read as a matrix, is a product of two thin ones.

References:
    Jaderberg et al. 2014, Speeding up Convolutional Neural Networks with Low Rank Expansions, arXiv:1405.3866 (there
    for images; here the window in time stays whole).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.weights.forms import add_matrix, get_matrix, product

WINDOW_ELEMENTS = 2**22  # of the windows that are laid out at once: 16 MB in float32


class LowRankConv1d(nn.Module):
    """An `nn.Conv1d` of one group with weight `weight_up` [out, rank] @ `weight_down` [rank, in * width].

    It runs as a convolution to `rank` channels and one of width 1 from there. Its parameters start as zeros: surgery
    or a state dict fills them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        rank: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        # Tuples and one group, as in nn.Conv1d, for code that reads a convolution's shape.
        self.kernel_size = (width,)
        self.stride = (stride,)
        self.padding = (padding,)
        self.dilation = (dilation,)
        self.groups = 1
        add_matrix(self, "weight", (out_channels, in_channels * width), rank)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The dense weight [out, in, width], for code that reads a convolution's weight."""
        return self._taps(product(get_matrix(self, "weight")))

    def forward(self, input: Tensor) -> Tensor:
        """[batch, in, time] or [in, time] to [batch, out, steps] or [out, steps]."""
        up, down = self.get_parameter("weight_up"), self.get_parameter("weight_down")
        narrow = F.conv1d(input, self._taps(down), None, self.stride, self.padding, self.dilation)
        return F.conv1d(narrow, up.unsqueeze(-1), self.bias)

    def _taps(self, matrix: Tensor) -> Tensor:
        """The rows of `matrix` [rows, in * width] as kernels [rows, in, width]."""
        return matrix.view(len(matrix), self.in_channels, -1)

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        rank = self.get_parameter("weight_down").shape[0]
        return f"{self.in_channels}, {self.out_channels}, width={self.kernel_size[0]}, rank={rank}"


def windows(conv: nn.Conv1d | LowRankConv1d, input: Tensor) -> Iterator[Tensor]:
    """What the weight of `conv`, as a matrix, multiplies in `input` [batch, in, time] or [in, time].

    In parts [steps, in * width] of a bounded size: all windows of a waveform are many times the waveform.
    """
    width, stride, dilation, padding = (
        int(getattr(conv, name)[0]) for name in ("kernel_size", "stride", "dilation", "padding")
    )
    reach = dilation * (width - 1) + 1
    most = max(1, WINDOW_ELEMENTS // (conv.in_channels * width))
    for sequence in input.reshape(-1, *input.shape[-2:]):
        padded = F.pad(sequence, (padding, padding))
        steps = padded.unfold(1, reach, stride)[:, :, ::dilation]  # [in, steps, width], no copy yet
        for start in range(0, steps.shape[1], most):
            yield steps[:, start : start + most].transpose(0, 1).flatten(1)
