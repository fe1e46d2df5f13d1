"""An LSTM cell, one step of a decoder, whose two matrices are each held in any form."""

import torch
from torch import Tensor, nn

from shrinkml.layers.adapter import Adapter
from shrinkml.layers.cell import FormCell, arguments, inputs, matrices
from shrinkml.layers.kernel import lstm_kernel


class FormLSTMCell(FormCell):
    """A drop-in for `nn.LSTMCell`."""

    n_gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """One step: [batch, in] (or [in]) and the state before it to the state after it."""
        h, c = hx if hx is not None else (input.new_zeros(*input.shape[:-1], self.units),) * 2
        h, c = h[..., : self.units], c[..., : self.units]
        gates = torch.add(*self.gates(input, h))
        if not torch.is_grad_enabled() and lstm_kernel.usable(input):
            return lstm_kernel.lstm_gates(gates, c)
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


LSTM_CELL = Adapter(nn.LSTMCell, FormLSTMCell, arguments, matrices, inputs, gates=FormLSTMCell.n_gates)
