"""The decoder of a Transformer, which keeps the keys and values of the tokens that it was fed.

References:
    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762.
    Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv:2002.04745 (pre-norm).
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from shrinkml.activations.places import rounded_at
from shrinkml.models.transformer.feed_forward import FeedForward
from shrinkml.models.transformer.multi_head import KeysValues, MultiHead
from shrinkml.models.transformer.norm import Norm
from shrinkml.models.transformer.sinusoids import sinusoids
from shrinkml.models.transformer.transformer_encoder import PLACED, Heard
from shrinkml.models.transformer.transformer_shape import TransformerConfig

Past = tuple[Tensor, ...]  # keys and values [batch, heads, tokens, size] of each layer in turn; () before any token


class Attended(NamedTuple):
    """The encoder's states as each decoder layer attends to them, and `mask` [batch, 1, 1, steps], true at these."""

    layers: tuple[KeysValues, ...]
    mask: Tensor


class DecoderLayer(nn.Module):
    """Self-attention, attention to what was heard, and a feed-forward block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = Norm(config.hidden)
        self.attention = MultiHead(config.hidden, config.heads)
        self.cross_norm = Norm(config.hidden)
        self.cross = MultiHead(config.hidden, config.heads)
        self.feed_forward_norm = Norm(config.hidden)
        self.feed_forward = FeedForward(config.hidden, config.feed_forward, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, states: Tensor, past: KeysValues | None, mask: Tensor | None, heard: KeysValues, heard_mask: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """[batch, tokens, hidden] of `states`, and the keys and values of all tokens so far.

        Args:
            states: [batch, tokens, hidden].
            past: of the tokens before them; None where there are none.
            mask: [tokens, all tokens], true where a token may see another; None for everywhere.
            heard: what the encoder heard.
            heard_mask: [batch, 1, 1, steps], true where that counts.
        """
        normed = self.attention_norm(states)
        known = self.attention.remember(normed)
        known = known if past is None else past.then(known)
        states = states + self.dropout(self.attention(normed, known, mask))
        states = states + self.dropout(self.cross(self.cross_norm(states), heard, heard_mask))
        return states + self.dropout(self.feed_forward(self.feed_forward_norm(states))), known


class TransformerDecoder(nn.Module):
    """An embedding of tokens, positions, layers, and a last normalisation.

    Args:
        config: the shape.
        vocabulary: tokens.
    """

    rounded_places = (PLACED,)

    def __init__(self, config: TransformerConfig, vocabulary: int) -> None:
        super().__init__()
        self.positions = config.decoder_positions
        self.embedding = nn.Embedding(vocabulary, config.hidden)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = Norm(config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, heard: Heard) -> Attended:
        """The keys and values of all that was `heard`, made once for all tokens."""
        layers = cast(Iterable[DecoderLayer], self.layers)
        return Attended(tuple(layer.cross.remember(heard.states) for layer in layers), heard.inside[:, None, None])

    def forward(self, tokens: Tensor, past: Past, heard: Attended) -> tuple[Tensor, Past]:
        """States [batch, tokens, hidden] behind each of `tokens` [batch, tokens] that follow on `past`, and their past.

        No state depends on a later token.
        """
        n_past = past[0].shape[2] if past else 0
        states = self.embedding(tokens)
        if self.positions:
            states = states + sinusoids(states, n_past)
        states = self.dropout(rounded_at(self, PLACED, states))
        mask = None if tokens.shape[1] == 1 else _earlier(n_past, tokens.shape[1], tokens.device)
        after: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            before = KeysValues(*past[2 * i : 2 * i + 2]) if past else None
            states, known = layer(states, before, mask, heard.layers[i], heard.mask)
            after += known
        return self.norm(states), tuple(after)


def _earlier(n_past: int, n: int, device: torch.device) -> Tensor:
    """[n, n_past + n]: true where a step is no later than another, behind `n_past` that all may see."""
    return torch.ones(n, n_past + n, dtype=torch.bool, device=device).tril(n_past)
