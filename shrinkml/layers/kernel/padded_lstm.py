"""One direction of an LSTM with gradients, through torch's fused LSTM: for what the compiled kernel can't do.

torch's LSTM wants dense matrices, but nothing keeps its input from being the short vector behind the thin factors; the
recurrent matrix alone is multiplied out, once per call. It is also two to three times as fast on padded sequences as on
packed ones, so packed ones are padded.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.layers.kernel.packed import padded_rows, sequence_lengths
from shrinkml.weights.form import Form, before_last

HOLD = 1e4  # added to a gate: sigmoid(-HOLD) is 0 and sigmoid(HOLD) is 1, whatever else the gate is given


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
    """Runs one direction of a layer over packed sequences.

    Args:
        x: [frames, in].
        batch_sizes: [time], sequences still running at each step.
        weight_in: [4 units, in].
        weight_hidden: [4 units, units].
        biases: torch's two [4 units], or none.
        state: initial h and c, each [batch, units].
        reverse: whether time runs backwards.

    Returns:
        Outputs [frames, units], and h and c after each sequence's last step, each [batch, units].
    """
    x, last = before_last(weight_in, x)
    steps, batch = len(batch_sizes), int(batch_sizes[0])
    rows = padded_rows(batch_sizes, reverse=reverse).to(x.device)
    if steps * batch > len(x):
        x, last = _padded(x, last, rows, steps * batch)
    else:
        x = x[rows]
    weights = [last, weight_hidden.dense(), *biases]
    hx = state[0].unsqueeze(0), state[1].unsqueeze(0)
    output, _, c = torch.lstm(x.view(steps, batch, -1), hx, weights, bool(biases), 1, 0.0, True, False, False)
    h = output[sequence_lengths(batch_sizes) - 1, torch.arange(batch)]
    return output.flatten(0, 1)[rows], h, c.squeeze(0)


def _padded(x: Tensor, weight: Tensor, rows: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
    """Input and weight [4 units, in] with a column more: it marks padding, where it holds the cell state as it is.

    The state after a sequence's padding is then the state after the sequence, exactly, and no gradient enters there.
    """
    padded = F.pad(x.new_zeros(n_rows, x.shape[1]), (0, 1), value=1.0)
    units = len(weight) // 4
    hold = weight.new_tensor([-HOLD, HOLD, 0.0, 0.0]).repeat_interleave(units)
    return padded.index_copy(0, rows, F.pad(x, (0, 1))), torch.cat((weight, hold.unsqueeze(1)), 1)
