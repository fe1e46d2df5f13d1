"""The compiled LSTM recurrence (`lstm_kernel.c`) for torch tensors: inference on a CPU in float32."""

import ctypes
import functools
import importlib.util
import logging

import torch
from torch import Tensor

from shrinkml.compression.factors import Factors, Matrix

LOGGER = logging.getLogger(__name__)
LIBRARY = "shrinkml.compression._lstm_kernel"


@functools.cache
def _library() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        LOGGER.warning("the compiled LSTM kernel is missing (no C compiler at installation): low-rank LSTMs run slowly")
        return None
    library = ctypes.CDLL(spec.origin)
    size, pointer = ctypes.c_long, ctypes.c_void_p
    weights = (pointer, pointer, size, pointer, pointer)
    library.lstm_direction.argtypes = (
        *(size, pointer, size, size, pointer),
        *weights,
        *(pointer, pointer, pointer, size, ctypes.c_int),
    )
    library.lstm_gates.argtypes = (size, size, pointer, pointer, pointer)
    library.lstm_gates.restype = None
    return library


def usable(x: Tensor) -> bool:
    """Whether the kernel can compute with `x`: no gradient is asked for, and the tensor is a CPU's in float32."""
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        and _library() is not None
    )


def lstm_direction_(
    output: Tensor,
    h: Tensor,
    c: Tensor,
    *,
    input: Tensor,
    batch_sizes: Tensor,
    weight_in: Tensor,
    weight_hidden: Matrix,
    bias: Tensor | None,
    reverse: bool,
) -> None:
    """Runs one direction of a layer over packed sequences, in place.

    Args:
        output: [frames, units], rows of any stride; gets the hidden states.
        h: [batch, units], contiguous; initial state, then the final one.
        c: [batch, units], likewise.
        input: [frames, n_in].
        batch_sizes: [time], int64: sequences still running at each step, as in a `PackedSequence`.
        weight_in: [4 units, n_in].
        weight_hidden: [4 units, units].
        bias: [4 units], or None.
        reverse: whether time runs backwards.
    """
    library = _library()
    assert library is not None
    units = h.shape[1]
    up, down = weight_hidden if isinstance(weight_hidden, Factors) else (weight_hidden, None)
    input, weight_in, up = input.contiguous(), weight_in.contiguous(), up.contiguous()
    down = None if down is None else down.contiguous()
    failed = library.lstm_direction(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        input.shape[1],
        input.data_ptr(),
        weight_in.data_ptr(),
        None if bias is None else bias.data_ptr(),
        0 if down is None else down.shape[0],
        None if down is None else down.data_ptr(),
        up.data_ptr(),
        h.data_ptr(),
        c.data_ptr(),
        output.data_ptr(),
        output.stride(0),
        reverse,
    )
    if failed:
        raise MemoryError("no memory for the packed weights of an LSTM layer")


def lstm_gates(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next (h, c) of an LSTM from its finished gates [..., 4 units] and the c [..., units] before."""
    library = _library()
    assert library is not None
    gates, c = gates.contiguous(), c.clone(memory_format=torch.contiguous_format)
    h = torch.empty_like(c)
    units = c.shape[-1]
    library.lstm_gates(c.numel() // units, units, gates.data_ptr(), c.data_ptr(), h.data_ptr())
    return h, c
