"""An LSTM cell, one step of a decoder, whose two matrices are each dense or a product of two thin ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shrinkml.layers.kernel import lstm_kernel
from shrinkml.weights.forms import add_matrix, apply, get_matrix, ranks_of


class LowRankLSTMCell(nn.Module):
    """A drop-in for `nn.LSTMCell` with a rank for each of its matrices.

    Its parameters start as zeros: surgery or a state dict fills them.

    Args:
        input_size: features of the input.
        hidden_size: units.
        ranks: "weight_ih" and "weight_hh" -> rank; what is not named stays dense.
        bias: whether gates have the two biases of `nn.LSTMCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, ranks: Mapping[str, int], *, bias: bool = True) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        for name, columns in (("weight_ih", input_size), ("weight_hh", hidden_size)):
            add_matrix(self, name, (4 * hidden_size, columns), ranks.get(name))
        self.bias_ih = nn.Parameter(torch.zeros(4 * hidden_size)) if bias else None
        self.bias_hh = nn.Parameter(torch.zeros(4 * hidden_size)) if bias else None

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """One step: [batch, in] (or [in]) and the state before it to the state after it."""
        h, c = hx if hx is not None else (input.new_zeros(*input.shape[:-1], self.hidden_size),) * 2
        gates = apply(get_matrix(self, "weight_ih"), input, self.bias_ih)
        gates = gates + apply(get_matrix(self, "weight_hh"), h, self.bias_hh)
        if not torch.is_grad_enabled() and lstm_kernel.usable(input):
            return lstm_kernel.lstm_gates(gates, c)
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def extra_repr(self) -> str:
        """What `print` shows of the cell."""
        return f"{self.input_size}, {self.hidden_size}, ranks={ranks_of(self)}"
