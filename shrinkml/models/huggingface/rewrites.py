"""Layers of transformers that hand their weights on instead of multiplying with them, put so that they can be replaced.

A rewritten network computes the same and keeps the names of its weights, but each of its matrices belongs to a plain
layer that is called.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rewrite_(network: nn.Module) -> None:
    """Rewrites the layers of `network` that need it."""
    for path, module in list(network.named_modules()):
        kind = type(module)
        if kind.__module__.startswith("transformers.") and kind.__name__ in REWRITES:
            parent, _, name = path.rpartition(".")
            setattr(network.get_submodule(parent), name, REWRITES[kind.__name__](module))


def _frame_head(head: nn.Conv1d) -> nn.Module:
    """A convolution of width 1 over frames [batch, time, in] as the linear layer that it is."""
    with torch.device("meta"):
        linear = nn.Linear(head.in_channels, head.out_channels, bias=head.bias is not None)
    linear.weight = nn.Parameter(head.weight.detach().squeeze(-1), requires_grad=head.weight.requires_grad)
    if isinstance(head.bias, nn.Parameter):
        linear.bias = head.bias
    return linear


def _calling_attention(attention: nn.Module) -> nn.Module:
    """WavLM's attention, which gives the weights of its projections to torch's fused function."""
    attention.__class__ = _attention_that_calls()
    return attention


@cache
def _attention_that_calls() -> type[nn.Module]:
    from transformers.models.wavlm.modeling_wavlm import WavLMAttention

    class CallingAttention(WavLMAttention):  # type: ignore[misc]
        """The same attention, its projections called."""

        def torch_multi_head_self_attention(
            self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
        ) -> tuple[Tensor, None]:
            """Attended states [batch, time, dims] of `hidden_states`; the attention weights are not kept."""
            batch, time, _ = hidden_states.shape
            projections: tuple[Any, ...] = self.q_proj, self.k_proj, self.v_proj
            query, key, value = (
                project(hidden_states).view(batch, time, self.num_heads, -1).transpose(1, 2) for project in projections
            )
            bias = gated_position_bias.view(batch, self.num_heads, time, time)
            if attention_mask is not None:
                bias = bias.masked_fill(attention_mask.ne(1)[:, None, None], float("-inf"))
            # Not torch's fused attention: its exporter cannot tell which kernel that would be.
            weights = (query @ key.mT / math.sqrt(query.shape[-1]) + bias).softmax(-1)
            attended = F.dropout(weights, self.dropout, self.training) @ value
            return self.out_proj(attended.transpose(1, 2).flatten(2)), None

    CallingAttention.__name__ = WavLMAttention.__name__  # what a report calls it
    return CallingAttention


REWRITES: dict[str, Callable[[Any], nn.Module]] = {
    "ParakeetEncoderCTCHead": _frame_head,
    "WavLMAttention": _calling_attention,
}
