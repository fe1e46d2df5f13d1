"""A GRU cell, one step of a decoder, whose two matrices are each dense or a product of two thin ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shrinkml.weights.forms import add_matrix, apply, get_matrix, ranks_of


class LowRankGRUCell(nn.Module):
    """A drop-in for `nn.GRUCell` with a rank for each of its matrices.

    Its parameters start as zeros: surgery or a state dict fills them.

    Args:
        input_size: features of the input.
        hidden_size: units.
        ranks: "weight_ih" and "weight_hh" -> rank; what is not named stays dense.
        bias: whether gates have the two biases of `nn.GRUCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, ranks: Mapping[str, int], *, bias: bool = True) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        for name, columns in (("weight_ih", input_size), ("weight_hh", hidden_size)):
            add_matrix(self, name, (3 * hidden_size, columns), ranks.get(name))
        self.bias_ih = nn.Parameter(torch.zeros(3 * hidden_size)) if bias else None
        self.bias_hh = nn.Parameter(torch.zeros(3 * hidden_size)) if bias else None

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step: [batch, in] (or [in]) and the state before it to the state after it."""
        h = input.new_zeros(*input.shape[:-1], self.hidden_size) if hx is None else hx
        given = apply(get_matrix(self, "weight_ih"), input, self.bias_ih)
        return gru_step(given, apply(get_matrix(self, "weight_hh"), h, self.bias_hh), h)

    def extra_repr(self) -> str:
        """What `print` shows of the cell."""
        return f"{self.input_size}, {self.hidden_size}, ranks={ranks_of(self)}"


def gru_step(given: Tensor, recurrent: Tensor, h: Tensor) -> Tensor:
    """The state after a step, from what each matrix makes of the input and of the state `h` before it.

    Args:
        given: [..., 3 units], reset, update and new gate; bias included.
        recurrent: the same of the state.
        h: [..., units].
    """
    sizes = [2 * h.shape[-1], h.shape[-1]]
    (given_gates, given_new), (gates, new) = torch.split(given, sizes, -1), torch.split(recurrent, sizes, -1)
    reset, update = torch.sigmoid(given_gates + gates).chunk(2, -1)
    return torch.lerp(torch.tanh(torch.addcmul(given_new, reset, new)), h, update)
