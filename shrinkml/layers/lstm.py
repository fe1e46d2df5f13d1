"""LSTM layers whose input and recurrent matrices are each dense or a product of two thin ones.

Gates stand in torch's order (input, forget, cell, output) and every parameter is named as in `nn.LSTM`, so that
`weight_ih_l0` becomes `weight_ih_l0_up` and `weight_ih_l0_down` where it has a rank.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from shrinkml.layers.kernel import lstm_gradient, lstm_kernel, padded_lstm
from shrinkml.layers.recurrent import LowRankRecurrent
from shrinkml.weights.forms import get_matrix, ranks_of

State = tuple[Tensor, Tensor]


class LayerRun(NamedTuple):
    """What one layer of an LSTM did.

    Attributes:
        input: [frames, in], the frames of each time step together, longest sequence first.
        batch_sizes: [time], sequences at each step.
        initial: h and c before the first step, each [directions, batch, units].
        output: [frames, directions * units].
        final: h and c after each sequence's last step.
    """

    input: Tensor
    batch_sizes: Tensor
    initial: State
    output: Tensor
    final: State


class LowRankLSTM(LowRankRecurrent):
    """A drop-in for `nn.LSTM` (without `proj_size`) with a rank for each of its matrices.

    Its parameters start as zeros: surgery or a state dict fills them.

    Args:
        input_size: features of the input.
        hidden_size: units per direction.
        ranks: matrix name ("weight_ih_l0", "weight_hh_l0_reverse") -> rank; what is not named stays dense.
        num_layers: layers stacked on each other.
        bias: whether gates have the two biases of `nn.LSTM`.
        batch_first: whether tensors are [batch, time, features] and not [time, batch, features].
        dropout: probability between stacked layers, in training.
        bidirectional: whether a second direction reads each sequence from its end.
    """

    n_gates = 4

    def forward(self, input: Tensor | PackedSequence, hx: State | None = None) -> tuple[Tensor | PackedSequence, State]:
        """As `nn.LSTM.forward`: the last layer's outputs, and the final h and c of every layer and direction."""
        if isinstance(input, Tensor) and input.dim() == 3 and not ranks_of(self):
            return self._run_dense(input, hx)
        runs = list(self.run_layers(input, hx))
        h, c = (torch.cat(parts) for parts in zip(*(run.final for run in runs), strict=True))
        output = runs[-1].output
        if isinstance(input, PackedSequence):
            state = _reordered((h, c), input.unsorted_indices)
            return PackedSequence(output, input.batch_sizes, input.sorted_indices, input.unsorted_indices), state
        if input.dim() == 2:
            return output, (h.squeeze(1), c.squeeze(1))
        output = output.view(-1, h.shape[1], output.shape[-1])
        return output.transpose(0, 1) if self.batch_first else output, (h, c)

    def _run_dense(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        """Torch's own LSTM: the fastest where nothing is factorized and all sequences are equally long."""
        if hx is None:
            batch = input.shape[0 if self.batch_first else 1]
            zeros = input.new_zeros(self.num_layers * len(self.suffixes(0)), batch, self.hidden_size)
            hx = (zeros, zeros)
        weights: list[Tensor] = list(self.parameters())  # in torch's order
        modes = self.dropout, self.training, self.bidirectional, self.batch_first
        output, h, c = torch.lstm(input, hx, weights, self.bias, self.num_layers, *modes)
        return output, (h, c)

    def run_layers(self, input: Tensor | PackedSequence, hx: State | None = None) -> Iterator[LayerRun]:
        """Each layer in turn, as it works in `forward`."""
        x, batch_sizes, hx = self._packed(input, hx)
        n_directions = len(self.suffixes(0))
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            here = slice(layer * n_directions, (layer + 1) * n_directions)
            initial = hx[0][here], hx[1][here]
            output, final = self._run_layer(layer, x, batch_sizes, initial)
            yield LayerRun(x, batch_sizes, initial, output, final)
            x = output

    def _packed(self, input: Tensor | PackedSequence, hx: State | None) -> tuple[Tensor, Tensor, State]:
        """Frames [frames, in] ordered by time, sequences at each step [time], and the initial state in that order."""
        if isinstance(input, PackedSequence):
            x, batch_sizes = input.data, input.batch_sizes
            hx = None if hx is None else _reordered(hx, input.sorted_indices)
        else:
            if input.dim() == 2:
                input = input.unsqueeze(1)
                hx = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
            elif self.batch_first:
                input = input.transpose(0, 1)
            x, batch_sizes = input.flatten(0, 1), torch.full((input.shape[0],), input.shape[1])
        if hx is None:
            zeros = x.new_zeros(self.num_layers * len(self.suffixes(0)), int(batch_sizes[0]), self.hidden_size)
            hx = (zeros, zeros)
        return x, batch_sizes, hx

    def _run_layer(self, layer: int, x: Tensor, batch_sizes: Tensor, hx: State) -> tuple[Tensor, State]:
        """One layer, all directions: outputs [frames, directions * units] and the final state."""
        run = _implementation(x)
        results = []
        for direction, suffix in enumerate(self.suffixes(layer)):
            weight_in, weight_hidden = (get_matrix(self, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
            biases = [self.get_parameter(f"bias_{kind}_{suffix}") for kind in ("ih", "hh") if self.bias]
            state = hx[0][direction], hx[1][direction]
            results.append(run(x, batch_sizes, weight_in, weight_hidden, biases, state, reverse=direction == 1))
        outputs, h, c = zip(*results, strict=True)
        return torch.cat(outputs, 1), (torch.stack(h), torch.stack(c))

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, ranks={ranks_of(self)}"


def _implementation(x: Tensor) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """The fastest way to run one direction of a layer over `x`."""
    if not lstm_kernel.usable(x):
        return padded_lstm.lstm_direction
    return lstm_gradient.lstm_direction if torch.is_grad_enabled() else lstm_kernel.lstm_direction


def as_low_rank(lstm: nn.LSTM | LowRankLSTM) -> LowRankLSTM:
    """`lstm` as a `LowRankLSTM`; one made from an `nn.LSTM` shares its parameters."""
    if isinstance(lstm, LowRankLSTM):
        return lstm
    names = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
    with torch.device("meta"):
        same = LowRankLSTM(lstm.input_size, lstm.hidden_size, {}, **{name: getattr(lstm, name) for name in names})
    for name, parameter in lstm.named_parameters():
        setattr(same, name, parameter)
    return same.train(lstm.training)


def _reordered(state: State, order: Tensor | None) -> State:
    """`state` with its batch (second) dimension in `order`."""
    if order is None:
        return state
    return state[0].index_select(1, order), state[1].index_select(1, order)
