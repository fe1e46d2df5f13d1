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
    frames, n_in = input.shape
    batch, units = int(batch_sizes.max()), h.shape[1]
    up, down = weight_hidden if isinstance(weight_hidden, Factors) else (weight_hidden, None)
    # The names keep the copies that `contiguous` may make alive until the kernel is done.
    input, weight_in, up = input.contiguous(), weight_in.contiguous(), up.contiguous()
    down = None if down is None else down.contiguous()
    rank = 0 if down is None else len(down)
    if int(batch_sizes.sum()) != frames or output.shape != (frames, units) or output.stride(1) != 1:
        raise ValueError(f"{int(batch_sizes.sum())} frames in batch_sizes, {frames} of input, {len(output)} of output")
    failed = library.lstm_direction(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        n_in,
        _address(input, frames, n_in),
        _address(weight_in, 4 * units, n_in),
        _address(bias, 4 * units),
        rank,
        _address(down, rank, units),
        _address(up, 4 * units, rank or units),
        _address(h, batch, units),
        _address(c, batch, units),
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
    *leading, units = c.shape
    pointers = _address(gates, *leading, 4 * units), _address(c, *c.shape), _address(h, *c.shape)
    library.lstm_gates(c.numel() // units, units, *pointers)
    return h, c


def _address(tensor: Tensor | None, *shape: int) -> int | None:
    """Where the kernel finds `tensor`, which it takes at its word."""
    if tensor is None:
        return None
    if tensor.shape != shape or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        found = f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
        raise ValueError(f"an LSTM got {found} where its weights and input ask for float32 {list(shape)} on the CPU")
    return tensor.data_ptr()
