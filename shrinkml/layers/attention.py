"""Torch's attention with projections of their own, so that each of them can be factorized.

`nn.MultiheadAttention` keeps the weights of query, key and value in one parameter and hands them to one function; here
they are linear layers that are called.
"""

import math
from collections import Counter
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.additions import copied, own_ways, take_over_
from shrinkml.layers.adapter import Adapter
from shrinkml.layers.fast_paths import leave_fast_paths_

M = TypeVar("M", bound=nn.Module)


def split_attention(model: M) -> M:
    """A copy of `model` that computes the same, every `nn.MultiheadAttention` in it a `SplitAttention`.

    Left as they are: subclasses, those that add a bias or zeros to keys and values, those that share weights, and those
    that their owners changed (`shrinkml.additions`).
    """
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    memo: dict[int, Any] = {}
    found = [it for it in model.modules() if type(it) is nn.MultiheadAttention and _can_be_split(it, uses)]
    twins = {module: SplitAttention(module) for module in found}
    memo |= {id(module): twin for module, twin in twins.items()}
    split = copied(model, memo)
    for module, twin in twins.items():
        take_over_(twin, module, memo, made_with=vars(_like(module)))
    leave_fast_paths_(split, SplitAttention)
    return split


class SplitAttention(nn.Module):
    """An `nn.MultiheadAttention` whose query, key, value and output are linear layers; takes and returns the same."""

    in_proj_bias = None  # by which torch's encoder layers know that they are to call it

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        """A copy of `attention`."""
        super().__init__()
        self.embed_dim, self.num_heads = attention.embed_dim, attention.num_heads
        self.dropout, self.batch_first = attention.dropout, attention.batch_first
        weights: tuple[Tensor, ...] = attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight
        if attention.in_proj_weight is not None:
            weights = attention.in_proj_weight.chunk(3)
        biases = (None,) * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)
        self.train(attention.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`; `is_causal` only says what is known of `attn_mask`."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal is true without attn_mask; give the mask that it tells of")
        # Tensors are turned after the projections: calibration knows by the tensor that all three are given the same.
        q, k, v = (self._heads(x) for x in (self.q_proj(query), self.k_proj(key), self.v_proj(value)))
        attended, weights = self._attend(q, k, v, self._mask(attn_mask, key_padding_mask, q), need_weights)
        output = self.out_proj(self._joined(attended, batched=query.dim() == 3))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        return output, weights if weights is None or query.dim() == 3 else weights[0]

    def _heads(self, x: Tensor) -> Tensor:
        """[time, dims], or that with a batch, to [batch, heads, time, dims / heads]."""
        if x.dim() == 2:
            x = x[None]
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def _joined(self, heads: Tensor, *, batched: bool) -> Tensor:
        """The reverse."""
        x = heads.transpose(1, 2).flatten(2)
        if not batched:
            return x[0]
        return x if self.batch_first else x.transpose(0, 1)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs of the heads [batch, heads, time, dims], and their weights [batch, heads, time, keys] if needed."""
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
        return weights @ v, weights

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, query: Tensor) -> Tensor | None:
        """Sum of the masks for the scores [batch, heads, time, keys], in a shape that spreads over them.

        Args:
            attn_mask: [time, keys] or [batch * heads, time, keys], added, or true at keys that are hidden.
            padding: [batch, keys] or [keys], likewise.
            query: whose dtype the scores have.
        """
        masks = []
        if attn_mask is not None:
            shape = (-1, self.num_heads) if attn_mask.dim() == 3 else (1, 1)
            masks.append(_added(attn_mask, query).view(*shape, *attn_mask.shape[-2:]))
        if padding is not None:
            masks.append(_added(padding, query).view(-1, 1, 1, padding.shape[-1]))
        return sum(masks[1:], masks[0]) if masks else None


def _can_be_split(attention: nn.MultiheadAttention, uses: Counter[int]) -> bool:
    adds = attention.bias_k is not None or attention.add_zero_attn
    weights = [name for name, _ in _like(attention).named_parameters(recurse=False) if "weight" in name]
    changed = own_ways(attention, weights, parts=("out_proj",)) or own_ways(attention.out_proj, ("weight",))
    return not adds and not changed and all(uses[id(parameter)] == 1 for parameter in attention.parameters())


def _like(attention: nn.MultiheadAttention) -> nn.MultiheadAttention:
    """New attention, made with the same arguments."""
    sizes = {"kdim": attention.kdim, "vdim": attention.vdim}
    with torch.device("meta"):
        return nn.MultiheadAttention(
            attention.embed_dim, attention.num_heads, bias=attention.in_proj_bias is not None, **sizes
        )


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with copies of those."""
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
    return linear


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """`mask` as something to add to scores."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)


def _why_left(_: nn.MultiheadAttention) -> str:
    return "three projections in one weight: `split_attention` gives each its own, if it is torch's plain attention"


ATTENTION = Adapter(nn.MultiheadAttention, why_left=_why_left)  # the projections of SplitAttention are linear layers
