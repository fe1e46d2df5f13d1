"""What low-rank recurrent layers have in common: their matrices and biases, named and ordered as torch's."""

from collections.abc import Mapping

import torch
from torch import nn

from shrinkml.weights.forms import add_matrix


class LowRankRecurrent(nn.Module):
    """The parameters of a recurrent layer, all zeros.

    Attributes:
        n_gates: blocks of `hidden_size` rows in each matrix.
    """

    n_gates: int
    proj_size = 0

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        ranks: Mapping[str, int],
        *,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        rows = self.n_gates * hidden_size
        for layer in range(num_layers):
            n_in = input_size if layer == 0 else hidden_size * len(self.suffixes(0))
            for suffix in self.suffixes(layer):
                for name, columns in ((f"weight_ih_{suffix}", n_in), (f"weight_hh_{suffix}", hidden_size)):
                    add_matrix(self, name, (rows, columns), ranks.get(name))
                if bias:
                    for name in (f"bias_ih_{suffix}", f"bias_hh_{suffix}"):
                        self.register_parameter(name, nn.Parameter(torch.zeros(rows)))

    def suffixes(self, layer: int) -> tuple[str, ...]:
        """What the parameter names of each direction of `layer` end in."""
        return (f"l{layer}", f"l{layer}_reverse") if self.bidirectional else (f"l{layer}",)
