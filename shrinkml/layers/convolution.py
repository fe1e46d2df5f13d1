"""A convolution in time whose weight, read as a matrix, is held in any form.

References:
    Jaderberg et al. 2014, Speeding up Convolutional Neural Networks with Low Rank Expansions, arXiv:1405.3866 (there
    for images; here the window in time stays whole).
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.activations.places import rounds
from shrinkml.activations.rounded_products import input_places, rounded_product
from shrinkml.layers.adapter import Adapter, Arguments, Inputs, Matrices
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import Choice
from shrinkml.weights.forms import get_form

WINDOW_ELEMENTS = 2**22  # of the windows that are laid out at once: 16 MB in float32


class FormConv1d(FormLayer):
    """A drop-in for an `nn.Conv1d` of one group; its weight is held as the matrix [out, in * width] of its window.

    It runs as a convolution with the first factor of the matrix and one of width 1 with every other.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        width: steps of the window.
        choices: of the matrix "weight".
        stride: steps from one window to the next.
        padding: zeros at both ends.
        dilation: steps from one tap of the window to the next.
        bias: whether a bias is added.
    """

    padding_mode = "zeros"
    transposed = False
    output_padding = (0,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        choices: Mapping[str, Choice],
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
        self.hold("weight", (out_channels, in_channels * width), choices)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The dense weight [out, in, width], for code that reads a convolution's weight."""
        return self._taps(get_form(self, "weight").dense())

    @property
    def rounded_places(self) -> tuple[str, ...]:
        """The places at which activations can be rounded."""
        return input_places(self, "weight")

    def forward(self, input: Tensor) -> Tensor:
        """[batch, in, time] or [in, time] to [batch, out, steps] or [out, steps]."""
        if rounds(self):
            return rounded_product(self, get_form(self, "weight"), input, self._product, axis=-2)
        first, *rest = get_form(self, "weight").factors
        biases = [None] * len(rest) + [self.bias]  # the last factor's
        x = F.conv1d(input, self._taps(first), biases[0], self.stride, self.padding, self.dilation)
        for factor, bias in zip(rest, biases[1:], strict=True):
            x = F.conv1d(x, factor.unsqueeze(-1), bias)
        return x

    def _product(self, x: Tensor, factor: Tensor, first: bool, last: bool) -> Tensor:
        """The product of `x` with one factor; the first has the window, the last the bias."""
        bias = self.bias if last else None
        if first:
            return F.conv1d(x, self._taps(factor), bias, self.stride, self.padding, self.dilation)
        return F.conv1d(x, factor.unsqueeze(-1), bias)

    def _taps(self, matrix: Tensor) -> Tensor:
        """The rows of `matrix` [rows, in * width] as kernels [rows, in, width]."""
        return matrix.view(len(matrix), self.in_channels, -1)

    def extra_repr(self) -> str:
        """The shape and the choices, for `print`."""
        return f"{self.in_channels}, {self.out_channels}, width={self.kernel_size[0]}, {self.shown_choices()}"


def windows(conv: nn.Conv1d | FormConv1d, input: Tensor) -> Iterator[Tensor]:
    """Everything that the weight of `conv`, as a matrix, multiplies in `input` [batch, in, time] or [in, time].

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


def _arguments(module: nn.Conv1d | FormConv1d) -> Arguments:
    sizes = module.in_channels, module.out_channels, module.kernel_size[0]
    options: dict[str, int] = {name: getattr(module, name)[0] for name in ("stride", "padding", "dilation")}
    return sizes, {**options, "bias": module.bias is not None}


def _matrices(module: nn.Conv1d | FormConv1d) -> Matrices:
    """A convolution is a linear map of its window."""
    if module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str):
        yield "weight", "linear"


def _inputs(module: nn.Conv1d | FormConv1d, input: Tensor) -> Inputs:
    return (("weight", part) for part in windows(module, input))


def _why_left(module: nn.Conv1d | FormConv1d) -> str | None:
    return f"a convolution of {module.groups} groups is no single matrix" if module.groups > 1 else None


CONV1D = Adapter(nn.Conv1d, FormConv1d, _arguments, _matrices, _inputs, _why_left)
