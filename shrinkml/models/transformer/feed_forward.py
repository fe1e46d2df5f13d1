"""The feed-forward block of a Transformer layer."""

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, on each step alone.

    Args:
        hidden: units of input and output.
        units: between the layers.
        dropout: between the layers, in training.
    """

    def __init__(self, hidden: int, units: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, units)
        self.outer = nn.Linear(units, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """[..., hidden] to [..., hidden]."""
        outputs: Tensor = self.outer(self.dropout(self.inner(states).relu()))
        return outputs
