"""GRU layers whose input and recurrent matrices are each dense or a product of two thin ones.

Gates stand in torch's order (reset, update, new) and every parameter is named as in `nn.GRU`. In training and for few
units torch's own fused GRU does the work: its input is the short vector behind the `down` factor, and the recurrent
matrix alone is multiplied out, once per call. Otherwise both factors are applied step by step.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from shrinkml.layers.gru_cell import gru_step
from shrinkml.layers.kernel.packed import reversed_rows
from shrinkml.layers.recurrent import LowRankRecurrent
from shrinkml.weights.forms import Factors, Matrix, apply, get_matrix, product, ranks_of

STEPPED_UNITS = 256  # from here on, steps through the recurrent factors are faster than torch's through their product


class GruRun(NamedTuple):
    """What one layer of a GRU did.

    Attributes:
        input: [frames, in], the frames of each time step together, longest sequence first.
        batch_sizes: [time], sequences at each step.
        initial: [directions, batch, units], the state before the first step.
        output: [frames, directions * units].
        final: [directions, batch, units], the state after each sequence's last step.
    """

    input: Tensor
    batch_sizes: Tensor
    initial: Tensor
    output: Tensor
    final: Tensor


class LowRankGRU(LowRankRecurrent):
    """A drop-in for `nn.GRU` with a rank for each of its matrices.

    Its parameters start as zeros: surgery or a state dict fills them.

    Args:
        input_size: features of the input.
        hidden_size: units per direction.
        ranks: matrix name ("weight_ih_l0", "weight_hh_l0_reverse") -> rank; what is not named stays dense.
        num_layers: layers stacked on each other.
        bias: whether gates have the two biases of `nn.GRU`.
        batch_first: whether tensors are [batch, time, features] and not [time, batch, features].
        dropout: probability between stacked layers, in training.
        bidirectional: whether a second direction reads each sequence from its end.
    """

    n_gates = 3

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """As `nn.GRU.forward`: the last layer's outputs, and the final state of every layer and direction."""
        runs = list(self.run_layers(input, hx))
        output, h = runs[-1].output, torch.cat([run.final for run in runs])
        if isinstance(input, PackedSequence):
            h = h if input.unsorted_indices is None else h.index_select(1, input.unsorted_indices)
            return PackedSequence(output, input.batch_sizes, input.sorted_indices, input.unsorted_indices), h
        if input.dim() == 2:
            return output, h.squeeze(1)
        output = output.view(-1, h.shape[1], output.shape[-1])
        return output.transpose(0, 1) if self.batch_first else output, h

    def run_layers(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Iterator[GruRun]:
        """Each layer in turn, as it works in `forward`."""
        x, batch_sizes, h = self._packed(input, hx)
        for layer, initial in enumerate(h.chunk(self.num_layers)):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            results = []
            for direction, suffix in enumerate(self.suffixes(layer)):
                weight_in, weight_hidden = (get_matrix(self, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
                biases = [self.get_parameter(f"bias_{kind}_{suffix}") for kind in ("ih", "hh") if self.bias]
                state, reverse = initial[direction], direction == 1
                run = _run_direction(x, batch_sizes, weight_in, weight_hidden, biases, state, reverse=reverse)
                results.append(run)
            outputs, finals = zip(*results, strict=True)
            output = torch.cat(outputs, 1)
            yield GruRun(x, batch_sizes, initial, output, torch.stack(finals))
            x = output

    def _packed(self, input: Tensor | PackedSequence, hx: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Frames [frames, in] ordered by time, sequences at each step [time], and the initial state in that order."""
        if isinstance(input, PackedSequence):
            x, batch_sizes = input.data, input.batch_sizes
            if hx is not None and input.sorted_indices is not None:
                hx = hx.index_select(1, input.sorted_indices)
        else:
            if input.dim() == 2:
                input, hx = input.unsqueeze(1), None if hx is None else hx.unsqueeze(1)
            elif self.batch_first:
                input = input.transpose(0, 1)
            x, batch_sizes = input.flatten(0, 1), torch.full((input.shape[0],), input.shape[1])
        n_states = self.num_layers * len(self.suffixes(0))
        return x, batch_sizes, x.new_zeros(n_states, int(batch_sizes[0]), self.hidden_size) if hx is None else hx

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, ranks={ranks_of(self)}"


def as_low_rank(gru: nn.GRU | LowRankGRU) -> LowRankGRU:
    """`gru` as a `LowRankGRU`; one made from an `nn.GRU` shares its parameters."""
    if isinstance(gru, LowRankGRU):
        return gru
    names = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
    with torch.device("meta"):
        same = LowRankGRU(gru.input_size, gru.hidden_size, {}, **{name: getattr(gru, name) for name in names})
    for name, parameter in gru.named_parameters():
        setattr(same, name, parameter)
    return same.train(gru.training)


def _run_direction(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Matrix,
    weight_hidden: Matrix,
    biases: Sequence[Tensor],
    state: Tensor,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """One direction of a layer over packed sequences: outputs [frames, units] and the final state [batch, units]."""
    if (
        isinstance(weight_hidden, Factors)
        and len(weight_hidden.up) >= 3 * STEPPED_UNITS
        and not torch.is_grad_enabled()
    ):
        return _run_steps(x, batch_sizes, weight_in, weight_hidden, biases, state, reverse=reverse)
    if isinstance(weight_in, Factors):
        x, weight_in = F.linear(x, weight_in.down), weight_in.up
    rows = reversed_rows(batch_sizes).to(x.device) if reverse else None
    x = x if rows is None else x[rows]
    weights = [weight_in, product(weight_hidden), *biases]
    modes = bool(biases), 1, 0.0, torch.is_grad_enabled(), False
    steps, batch = len(batch_sizes), int(batch_sizes[0])
    if steps * batch == len(x):  # no sequence ends early
        output, h = torch.gru(x.view(steps, batch, -1), state.unsqueeze(0), weights, *modes, False)
        output = output.flatten(0, 1)
    else:
        output, h = torch.gru(x, batch_sizes, state.unsqueeze(0), weights, *modes)
    return output if rows is None else output[rows], h.squeeze(0)


def _run_steps(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Matrix,
    weight_hidden: Factors,
    biases: Sequence[Tensor],
    state: Tensor,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """The same as `_run_direction`, with the recurrent factors applied at each step."""
    bias_in, bias_hidden = biases or (None, None)
    rows = reversed_rows(batch_sizes).to(x.device) if reverse else None
    given = apply(weight_in, x if rows is None else x[rows], bias_in)
    outputs, state = [], state.clone()
    for frames in torch.split(given, batch_sizes.tolist()):
        before = state[: len(frames)]
        outputs.append(gru_step(frames, apply(weight_hidden, before, bias_hidden), before))
        state[: len(frames)] = outputs[-1]
    output = torch.cat(outputs)
    return output if rows is None else output[rows], state
