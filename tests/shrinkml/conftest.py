"""A tiny recogniser-shaped model with one of everything that can be factorized."""

import pytest
import torch
from torch import Tensor, nn


class TinyRecogniser(nn.Module):
    """Bidirectional encoder, LSTMCell decoder, output layer tied to the embedding, a convolution in front."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(6, 6, 3, padding=1)
        self.encoder = nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.embedding = nn.Embedding(11, 10)
        self.query = nn.Linear(16, 10, bias=False)
        self.cell = nn.LSTMCell(10, 10)
        self.output = nn.Linear(10, 11)
        self.output.weight = self.embedding.weight

    def forward(self, frames: Tensor, tokens: Tensor) -> Tensor:
        """Frames [batch, time, 6] and tokens [batch, steps] to scores [batch, steps, 11]."""
        encoded, _ = self.encoder(self.front(frames.transpose(1, 2)).transpose(1, 2))
        context = self.query(encoded.mean(1))
        state = None
        steps = []
        for token in tokens.T:
            state = self.cell(self.embedding(token) + context, state)
            steps.append(self.output(state[0]))
        return torch.stack(steps, 1)


@pytest.fixture
def recogniser() -> TinyRecogniser:
    torch.manual_seed(0)
    return TinyRecogniser().eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 7, 6, generator=generator), torch.randint(11, (3, 4), generator=generator)
