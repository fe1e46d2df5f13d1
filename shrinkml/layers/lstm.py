"""An LSTM layer whose input and recurrent matrices are each held in any form.

Gates stand in torch's order (input, forget, cell, output) and every parameter is named as in `nn.LSTM`, so that
`weight_ih_l0` becomes `weight_ih_l0_up` and `weight_ih_l0_down` where it has a rank.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from shrinkml.layers.adapter import Adapter, Inputs
from shrinkml.layers.kernel import lstm_gradient, lstm_kernel, padded_lstm
from shrinkml.layers.recurrent import FormRecurrent, States, arguments, inputs, matrices
from shrinkml.weights.form import Form

State = tuple[Tensor, Tensor]


class FormLSTM(FormRecurrent):
    """A drop-in for `nn.LSTM` (without `proj_size`)."""

    n_gates = 4
    n_states = 2
    mode = "LSTM"
    get_expected_cell_size = nn.LSTM.get_expected_cell_size

    def forward(self, input: Tensor | PackedSequence, hx: State | None = None) -> tuple[Tensor | PackedSequence, State]:
        """As `nn.LSTM.forward`: the last layer's outputs, and the final h and c of every layer and direction."""
        if isinstance(input, Tensor) and input.dim() == 3 and not self.choices:
            return self._run_dense(input, hx)
        output, (h, c) = self.run(input, hx)
        return output, (h, c)

    def _run_dense(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        """Torch's own LSTM: the fastest where all matrices are dense and all sequences are equally long."""
        if hx is None:
            batch = input.shape[0 if self.batch_first else 1]
            zeros = input.new_zeros(self.num_layers * len(self.suffixes(0)), batch, self.hidden_size)
            hx = (zeros, zeros)
        weights: list[Tensor] = list(self.parameters())  # in torch's order
        modes = self.dropout, self.training, self.bidirectional, self.batch_first
        output, h, c = torch.lstm(input, hx, weights, self.bias, self.num_layers, *modes)
        return output, (h, c)

    def run_direction(
        self,
        x: Tensor,
        batch_sizes: Tensor,
        weight_in: Form,
        weight_hidden: Form,
        biases: Sequence[Tensor],
        states: States,
        *,
        reverse: bool,
    ) -> States:
        """Outputs, h and c of one direction."""
        return _implementation(x)(x, batch_sizes, weight_in, weight_hidden, biases, states, reverse=reverse)


def _implementation(x: Tensor) -> Callable[..., States]:
    """The fastest way to run one direction of a layer over `x`."""
    if not lstm_kernel.usable(x):
        return padded_lstm.lstm_direction
    return lstm_gradient.lstm_direction if torch.is_grad_enabled() else lstm_kernel.lstm_direction


def _inputs(module: nn.LSTM | FormLSTM, input: Tensor | PackedSequence, hx: State | None = None) -> Inputs:
    return inputs(FormLSTM.of(module), input, hx)


LSTM = Adapter(nn.LSTM, FormLSTM, arguments, matrices, _inputs, gates=FormLSTM.n_gates)
