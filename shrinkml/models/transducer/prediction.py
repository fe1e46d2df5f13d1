"""The prediction networks of a transducer: what may follow the labels that were said.

An LSTM remembers all of them. The tied-and-reduced network knows the last few, and has few parameters: its embedding
is the matrix of the output layer.

References:
    Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711.
    Botros et al. 2021, Tied and reduced RNN-T decoder, arXiv:2109.07513 (eq. 4, the weighted average).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shrinkml.layers.lstm import FormLSTM

State = tuple[Tensor, ...]  # [batch, ...] each
START = 0  # stands before the first label: the blank, which is no label


class Prediction(Protocol):
    """A prediction network, an `nn.Module`."""

    def __call__(self, labels: Tensor) -> Tensor:
        """[batch, labels + 1, joint]: its outputs before the first of `labels` [batch, labels], and behind each."""
        ...

    def start(self, batch: int) -> State:
        """The state before anything was said."""
        ...

    def step(self, label: Tensor, state: State) -> tuple[Tensor, State]:
        """The output [batch, joint] behind `label` [batch], or START, and the state there."""
        ...


class LstmPrediction(nn.Module):
    """An LSTM over the labels; implements `Prediction`.

    Args:
        vocabulary: labels, the blank among them.
        embedding: size of a label's vector.
        units: of the LSTM.
        joint: size of the output.
        dropout: of vectors and outputs, in training.
    """

    def __init__(self, vocabulary: int, embedding: int, units: int, joint: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = FormLSTM.of(nn.LSTM(embedding, units, batch_first=True))
        self.projection = nn.Linear(units, joint)
        self.dropout = nn.Dropout(dropout)

    def forward(self, labels: Tensor) -> Tensor:
        """Outputs [batch, labels + 1, joint]."""
        heard = self.dropout(self.embedding(F.pad(labels, (1, 0), value=START)))
        outputs: Tensor = self.projection(self.dropout(self.lstm(heard)[0]))
        return outputs

    def start(self, batch: int) -> State:
        """Zeros, as h and c."""
        zeros = self.projection.bias.new_zeros(batch, self.lstm.units("l0"))
        return zeros, zeros

    def step(self, label: Tensor, state: State) -> tuple[Tensor, State]:
        """The output [batch, joint], h and c."""
        h, c = (part.unsqueeze(0) for part in state)
        outputs, (h, c) = self.lstm(self.embedding(label).unsqueeze(1), (h, c))
        units = slice(self.lstm.units("l0"))  # whatever is cut stays zero
        return self.projection(outputs.squeeze(1)), (h[0, :, units], c[0, :, units])


class TiedReducedPrediction(nn.Module):
    """A weighted average of the embeddings of the last labels; implements `Prediction`.

    z = 1 / (heads * context) * sum over heads h and places n of (p_hn . e_n) e_n, then a projection, normalised, SiLU.
    START embeds to zero. Of the vectors p of all heads only their sum matters: heads help to train.

    Args:
        output: the layer that makes the scores: its matrix [vocabulary, joint] is the embedding as well.
        context: labels that are known.
        heads: sets of vectors, one for each place.
    """

    def __init__(self, output: nn.Linear, context: int, heads: int) -> None:
        super().__init__()
        vocabulary, joint = output.weight.shape
        self.context = context
        self.embedding = nn.Embedding(vocabulary, joint)
        self.embedding.weight = output.weight  # the parameter itself
        nn.init.normal_(output.weight, std=joint**-0.5)
        self.places = nn.Parameter(torch.randn(heads, context, joint))
        self.projection = nn.Linear(joint, joint)
        self.norm = nn.LayerNorm(joint)

    def forward(self, labels: Tensor) -> Tensor:
        """Outputs [batch, labels + 1, joint]."""
        padded = F.pad(labels, (self.context, 0), value=START)
        return self._behind(padded.unfold(1, self.context, 1))

    def start(self, batch: int) -> State:
        """START in all places, [batch, context]."""
        return (torch.full((batch, self.context), START, device=self.places.device),)

    def step(self, label: Tensor, state: State) -> tuple[Tensor, State]:
        """The output [batch, joint], and the last labels."""
        last = torch.cat((state[0][:, 1:], label.unsqueeze(1)), 1)
        return self._behind(last), (last,)

    def _behind(self, last: Tensor) -> Tensor:
        """[..., joint] behind the `last` labels [..., context]."""
        embedded = self.embedding(last) * (last != START).unsqueeze(-1)
        weights = torch.einsum("hnj,...nj->...n", self.places, embedded) / self.places[..., 0].numel()
        outputs: Tensor = F.silu(self.norm(self.projection(torch.einsum("...n,...nj->...j", weights, embedded))))
        return outputs
