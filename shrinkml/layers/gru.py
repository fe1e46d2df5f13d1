"""A GRU layer whose input and recurrent matrices are each held in any form.

Gates stand in torch's order (reset, update, new) and every parameter is named as in `nn.GRU`. In training and for few
units torch's own fused GRU does the work: its input is the short vector behind the thin factors, and the recurrent
matrix alone is multiplied out, once per call. Otherwise all factors are applied step by step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from shrinkml.layers.adapter import Adapter, Inputs
from shrinkml.layers.gru_cell import gru_step
from shrinkml.layers.kernel.packed import reversed_rows
from shrinkml.layers.recurrent import FormRecurrent, States, arguments, inputs, matrices
from shrinkml.weights.form import Form, before_last

STEPPED_UNITS = 256  # from here on, steps through the recurrent factors are faster than torch's through their product


class FormGRU(FormRecurrent):
    """A drop-in for `nn.GRU`."""

    n_gates = 3
    n_states = 1
    mode = "GRU"

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """As `nn.GRU.forward`: the last layer's outputs, and the final state of every layer and direction."""
        output, (h,) = self.run(input, None if hx is None else (hx,))
        return output, h

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
        """Outputs and final state of one direction."""
        thin = len(weight_hidden.factors) > 1 and self.hidden_size >= STEPPED_UNITS
        run = _run_steps if thin and not torch.is_grad_enabled() else _run_fused
        return run(x, batch_sizes, weight_in, weight_hidden, biases, states[0], reverse=reverse)


def _run_fused(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Form,
    weight_hidden: Form,
    biases: Sequence[Tensor],
    state: Tensor,
    *,
    reverse: bool,
) -> States:
    """One direction by torch's GRU: outputs [frames, units] and the final state [batch, units]."""
    x, last = before_last(weight_in, x)
    rows = reversed_rows(batch_sizes).to(x.device) if reverse else None
    x = x if rows is None else x[rows]
    weights = [last, weight_hidden.dense(), *biases]
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
    weight_in: Form,
    weight_hidden: Form,
    biases: Sequence[Tensor],
    state: Tensor,
    *,
    reverse: bool,
) -> States:
    """The same, with the recurrent factors applied at each step."""
    bias_in, bias_hidden = biases or (None, None)
    rows = reversed_rows(batch_sizes).to(x.device) if reverse else None
    given = weight_in.multiply(x if rows is None else x[rows], bias_in)
    outputs, state = [], state.clone()
    for frames in torch.split(given, batch_sizes.tolist()):
        before = state[: len(frames)]
        outputs.append(gru_step(frames, weight_hidden.multiply(before, bias_hidden), before))
        state[: len(frames)] = outputs[-1]
    output = torch.cat(outputs)
    return output if rows is None else output[rows], state


def _inputs(module: nn.GRU | FormGRU, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Inputs:
    return inputs(FormGRU.of(module), input, None if hx is None else (hx,))


GRU = Adapter(nn.GRU, FormGRU, arguments, matrices, _inputs, gates=FormGRU.n_gates)
