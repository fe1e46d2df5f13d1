"""The feed-forward block of a Transformer layer."""

from torch import Tensor, nn

from shrinkml.activations.places import rounded_at

OUTPUT = "output"


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, on each step alone.

    Args:
        hidden: units of input and output.
        units: between the layers.
        dropout: between the layers, in training.
    """

    rounded_places = (OUTPUT,)

    def __init__(self, hidden: int, units: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, units)
        self.outer = nn.Linear(units, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """[..., hidden] to [..., hidden]."""
        return rounded_at(self, OUTPUT, self.outer(self.dropout(self.inner(states).relu())))
