"""A GRU cell, one step of a decoder, whose two matrices are each held in any form."""

import torch
from torch import Tensor, nn

from shrinkml.layers.adapter import Adapter
from shrinkml.layers.cell import FormCell, arguments, inputs, matrices


class FormGRUCell(FormCell):
    """A drop-in for `nn.GRUCell`."""

    n_gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step: [batch, in] (or [in]) and the state before it to the state after it."""
        h = input.new_zeros(*input.shape[:-1], self.units) if hx is None else hx[..., : self.units]
        return gru_step(*self.gates(input, h), h)


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


GRU_CELL = Adapter(nn.GRUCell, FormGRUCell, arguments, matrices, inputs, gates=FormGRUCell.n_gates)
