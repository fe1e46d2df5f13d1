"""The encoder of a Transformer: layers that normalise before each block.

References:
    Dong et al. 2018, Speech-Transformer, ICASSP (attention encoder-decoders of speech).
    Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv:2002.04745 (pre-norm).
"""

from typing import NamedTuple

from torch import Tensor, nn

from shrinkml.activations.places import rounded_at
from shrinkml.models.transformer.feed_forward import FeedForward
from shrinkml.models.transformer.memory_block import MemoryBlock
from shrinkml.models.transformer.multi_head import MultiHead, joined
from shrinkml.models.transformer.norm import Norm
from shrinkml.models.transformer.sinusoids import sinusoids
from shrinkml.models.transformer.subsampling import Subsampling
from shrinkml.models.transformer.transformer_shape import TransformerConfig

PLACED = "placed"  # what is heard or fed, with its positions


class Heard(NamedTuple):
    """States [batch, steps, hidden] of the encoder, and `inside` [batch, steps], true where they count."""

    states: Tensor
    inside: Tensor

    def repeated(self, n: int) -> "Heard":
        """Each utterance `n` times, one beside the other."""
        return Heard(*(part.repeat_interleave(n, 0) for part in self))


class EncoderLayer(nn.Module):
    """Self-attention, with a memory block where the shape asks for one, and a feed-forward block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = Norm(config.hidden)
        self.attention = MultiHead(config.hidden, config.heads)
        self.memory = MemoryBlock(config.hidden, config.memory) if config.memory else None
        self.feed_forward_norm = Norm(config.hidden)
        self.feed_forward = FeedForward(config.hidden, config.feed_forward, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: Tensor, inside: Tensor) -> Tensor:
        """[batch, steps, hidden] of `states`, which see those `inside` [batch, steps] alone."""
        normed = self.attention_norm(states)
        known = self.attention.remember(normed)
        found = self.attention(normed, known, inside[:, None, None])
        if self.memory is not None:
            found = found + self.memory(joined(known.values), inside)
        states = states + self.dropout(found)
        added: Tensor = states + self.dropout(self.feed_forward(self.feed_forward_norm(states)))
        return added


class TransformerEncoder(nn.Module):
    """Convolutions, positions, layers, and a last normalisation.

    A layer that several places share is one module, stored and counted once, by the number of its first place.

    Attributes:
        places: name in `layers` of the layer at each place.
    """

    rounded_places = (PLACED,)

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.positions = config.encoder_positions
        self.subsampling = Subsampling(config.n_mels, config.hidden, config.reductions)
        self.places = [str(first) for first in config.encoder_places]
        self.layers = nn.ModuleDict({first: EncoderLayer(config) for first in dict.fromkeys(self.places)})
        self.norm = Norm(config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, frames: Tensor, counts: Tensor) -> Heard:
        """The states of `frames` [batch, frames, n_mels], zero behind the `counts` [batch] of each utterance."""
        states, inside = self.subsampling(frames, counts)
        if self.positions:
            states = states + sinusoids(states)
        states = self.dropout(rounded_at(self, PLACED, states))
        for place in self.places:
            states = self.layers[place](states, inside)
        return Heard(self.norm(states), inside)
