"""The compiled LSTM recurrence (`lstm_kernel.c`) for torch tensors: inference on a CPU in float32."""

import ctypes
import functools
import importlib.util
import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

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
        *(pointer, pointer, pointer, ctypes.c_int),
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


def lstm_direction(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Matrix,
    weight_hidden: Matrix,
    biases: Sequence[Tensor],
    state: tuple[Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Runs one direction of a layer over packed sequences; as `lstm_training.lstm_direction`, without gradients.

    Args:
        x: [frames, in].
        batch_sizes: [time], int64: sequences still running at each step, as in a `PackedSequence`.
        weight_in: [4 units, in].
        weight_hidden: [4 units, units].
        biases: torch's two [4 units], or none.
        state: initial h and c, each [batch, units].
        reverse: whether time runs backwards.

    Returns:
        Outputs [frames, units], and h and c after each sequence's last step, each [batch, units].

    Raises:
        ValueError: shapes that do not fit together, or weights that are not in float32.
    """
    library = _library()
    assert library is not None
    if isinstance(weight_in, Factors):
        x, weight_in = F.linear(x, weight_in.down), weight_in.up
    up, down = weight_hidden if isinstance(weight_hidden, Factors) else (weight_hidden, None)
    # The names keep the copies that `contiguous` may make alive until the kernel is done.
    x, weight_in, up = x.contiguous(), weight_in.contiguous(), up.contiguous()
    down = None if down is None else down.contiguous()
    bias = torch.add(*biases) if biases else None
    h, c = (part.clone(memory_format=torch.contiguous_format) for part in state)
    (frames, n_in), (batch, units) = x.shape, h.shape
    if int(batch_sizes.sum()) != frames or int(batch_sizes.max()) != batch:
        raise ValueError(f"{frames} frames of {batch} sequences do not fit batch_sizes {batch_sizes.tolist()}")
    rank = 0 if down is None else len(down)
    output = x.new_empty(frames, units)
    failed = library.lstm_direction(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        n_in,
        _address(x, frames, n_in),
        _address(weight_in, 4 * units, n_in),
        _address(bias, 4 * units),
        rank,
        _address(down, rank, units),
        _address(up, 4 * units, rank or units),
        _address(h, batch, units),
        _address(c, batch, units),
        _address(output, frames, units),
        reverse,
    )
    if failed:
        raise MemoryError("no memory for the packed weights of an LSTM layer")
    return output, h, c


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
