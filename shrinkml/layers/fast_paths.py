"""Torch's fast paths through its Transformer encoder, which read whole weights, and layers that have none.

In eval, `nn.TransformerEncoderLayer` hands the weights of its linear layers to one kernel: factors would be multiplied
out at every call. `nn.TransformerEncoder` packs padded batches into nested tensors, which only that kernel takes.
"""

from torch import nn


def leave_fast_paths_(model: nn.Module, kind: type[nn.Module]) -> None:
    """Makes encoders of `model` that hold layers of that `kind` call these: results change at padded frames alone."""
    for module in model.modules():
        if not isinstance(module, nn.TransformerEncoder | nn.TransformerEncoderLayer):
            continue
        if any(isinstance(part, kind) for part in module.modules()):
            if isinstance(module, nn.TransformerEncoder):
                module.use_nested_tensor = False
            else:
                module.activation_relu_or_gelu = 0  # what torch tells by that the kernel does not know the activation
