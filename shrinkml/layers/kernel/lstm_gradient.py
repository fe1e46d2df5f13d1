"""One direction of an LSTM layer with gradients, by the compiled kernel: training on a CPU in float32.

The kernel runs the recurrence forwards and backwards; the products over all frames at once are torch's.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from shrinkml.layers.kernel import lstm_kernel
from shrinkml.weights.form import Form, up_and_down

Gradients = tuple[Tensor | None, ...]


def lstm_direction(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Form,
    weight_hidden: Form,
    biases: Sequence[Tensor],
    state: tuple[Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Runs one direction of a layer over packed sequences; arguments and result as `FormRecurrent.run_direction`."""
    gates = weight_in.multiply(x, torch.add(*biases) if biases else None)
    up, down = up_and_down(weight_hidden)
    output, h, c = _Recurrence.apply(gates, batch_sizes, up, down, *state, reverse)  # type: ignore[no-untyped-call]
    return output, h, c


class _Recurrence(torch.autograd.Function):
    """Outputs [frames, units] and final h and c [batch, units] of `gates` [frames, 4 units], the input's share."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        batch_sizes: Tensor,
        up: Tensor,
        down: Tensor | None,
        h: Tensor,
        c: Tensor,
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        run = lstm_kernel.forward(gates, batch_sizes, up, down, (h, c), reverse=reverse)
        ctx.save_for_backward(run.gates, batch_sizes, up, down, run.h_before, run.c_before, run.inner)
        ctx.reverse = reverse
        return run.output, run.h, run.c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, d_h: Tensor, d_c: Tensor) -> Gradients:
        gates, batch_sizes, up, down, h_before, c_before, inner = ctx.saved_tensors
        run = lstm_kernel.backward(gates, batch_sizes, up, down, c_before, d_output, (d_h, d_c), reverse=ctx.reverse)
        d_up = run.d_gates.T @ (h_before if inner is None else inner)
        d_down = None if run.d_inner is None else run.d_inner.T @ h_before
        return run.d_gates, None, d_up, d_down, run.d_h, run.d_c, None
