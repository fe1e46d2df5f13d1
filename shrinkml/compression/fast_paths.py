"""Torch's fast paths through its Transformer encoder, which read whole weights, and low-rank layers, which have none.

In eval, `nn.TransformerEncoderLayer` hands the weights of its linear layers to one kernel: factors would be multiplied
out at every call. `nn.TransformerEncoder` packs padded batches into nested tensors, which only that kernel takes.
"""

from torch import nn

from shrinkml.compression.low_rank import LowRankLinear


def leave_fast_paths_(model: nn.Module) -> None:
    """Makes encoders of `model` that hold low-rank layers call these: results change at padded frames alone."""
    for module in model.modules():
        if not isinstance(module, nn.TransformerEncoder | nn.TransformerEncoderLayer):
            continue
        if any(isinstance(part, LowRankLinear) for part in module.modules()):
            if isinstance(module, nn.TransformerEncoder):
                module.use_nested_tensor = False
            else:
                module.activation_relu_or_gelu = 0  # what torch tells by that the kernel does not know the activation
