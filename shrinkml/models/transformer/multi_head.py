"""Multi-head attention, whose four projections are linear layers of their own.

References:
    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762 (section 3.2).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shrinkml.activations.places import divisor_at, rounded_at, rounds

QUERY, KEY, VALUE = "query", "key", "value"
NUMERATOR, DENOMINATOR, SHARES = "numerator", "denominator", "shares"  # of the softmax


class KeysValues(NamedTuple):
    """Steps that can be attended to: their `keys` and `values` [batch, heads, steps, hidden / heads]."""

    keys: Tensor
    values: Tensor

    def then(self, later: "KeysValues") -> "KeysValues":
        """These steps, and behind them those of `later`."""
        return KeysValues(*(torch.cat(both, 2) for both in zip(self, later, strict=True)))


class MultiHead(nn.Module):
    """Scaled dot-product attention in several heads.

    Args:
        hidden: units of what asks, of what is attended to, and of the output.
        heads: number of them.
    """

    rounded_places = (QUERY, KEY, VALUE, NUMERATOR, DENOMINATOR, SHARES)

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)

    def remember(self, states: Tensor) -> KeysValues:
        """Keys and values of `states` [batch, steps, hidden]."""
        keys, values = rounded_at(self, KEY, self.key(states)), rounded_at(self, VALUE, self.value(states))
        return KeysValues(self._split(keys), self._split(values))

    def forward(self, asking: Tensor, known: KeysValues, mask: Tensor | None = None) -> Tensor:
        """[batch, steps, hidden]: what `asking` [batch, steps, hidden] finds in `known`.

        Args:
            asking: one question per step.
            known: what is attended to.
            mask: true where a question may see a step of `known`, spread over [batch, heads, steps, known steps]; None
                for everywhere.
        """
        queries = self._split(rounded_at(self, QUERY, self.query(asking)))
        attend = self._in_steps if rounds(self) else F.scaled_dot_product_attention
        answer: Tensor = self.out(joined(attend(queries, known.keys, known.values, mask)))
        return answer

    def _in_steps(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Scaled dot-product attention whose softmax is rounded step by step."""
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        numerators = rounded_at(self, NUMERATOR, torch.exp(scores - scores.amax(-1, keepdim=True)))
        denominator = divisor_at(self, DENOMINATOR, numerators.sum(-1, keepdim=True))
        return rounded_at(self, SHARES, numerators / denominator) @ values

    def _split(self, x: Tensor) -> Tensor:
        """[batch, steps, hidden] to [batch, heads, steps, hidden / heads]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def joined(heads: Tensor) -> Tensor:
    """[batch, heads, steps, size] to [batch, steps, heads * size]."""
    return heads.transpose(1, 2).flatten(2)
