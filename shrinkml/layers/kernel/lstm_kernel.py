"""The compiled LSTM recurrence (`lstm_kernel.c`) for torch tensors on a CPU in float32."""

import ctypes
import functools
import importlib.util
import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from shrinkml.weights.form import Form, before_last, up_and_down

LOGGER = logging.getLogger(__name__)
LIBRARY = "shrinkml.layers.kernel._lstm_kernel"


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
    library.lstm_forward.argtypes = (
        *(size, pointer, size, pointer, size),
        *(pointer,) * 8,
        ctypes.c_int,
    )
    library.lstm_backward.argtypes = (
        *(size, pointer, size, pointer, pointer, size),
        *(pointer,) * 6,
        ctypes.c_int,
    )
    library.lstm_gates.argtypes = (size, size, pointer, pointer, pointer)
    library.lstm_gates.restype = None
    return library


def usable(x: Tensor) -> bool:
    """True where the kernel can compute with `x`: a CPU's in float32, and not traced for an export."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        and _library() is not None
    )


def lstm_direction(
    x: Tensor,
    batch_sizes: Tensor,
    weight_in: Form,
    weight_hidden: Form,
    biases: Sequence[Tensor],
    state: tuple[Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Runs one direction of a layer over packed sequences; as `FormRecurrent.run_direction`, without gradients.

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
    x, last = before_last(weight_in, x)
    up, down = up_and_down(weight_hidden)
    # The names keep the copies that `contiguous` may make alive until the kernel is done.
    x, last, up = x.contiguous(), last.contiguous(), up.contiguous()
    down = None if down is None else down.contiguous()
    bias = torch.add(*biases) if biases else None
    h, c = (part.clone(memory_format=torch.contiguous_format) for part in state)
    (frames, n_in), (batch, units) = x.shape, h.shape
    _check_frames(batch_sizes, frames, batch)
    rank = 0 if down is None else len(down)
    output = x.new_empty(frames, units)
    failed = _kernel().lstm_direction(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        n_in,
        _address(x, frames, n_in),
        _address(last, 4 * units, n_in),
        _address(bias, 4 * units),
        rank,
        _address(down, rank, units),
        _address(up, 4 * units, rank or units),
        _address(h, batch, units),
        _address(c, batch, units),
        _address(output, frames, units),
        reverse,
    )
    _check_memory(failed)
    return output, h, c


class Forward(NamedTuple):
    """The results of `forward`, and what `backward` needs of them.

    Attributes:
        output: [frames, units].
        h: after each sequence's last step, [batch, units].
        c: the same of the cells.
        gates: [frames, 4 units], behind their sigmoid or tanh.
        h_before: [frames, units], the state that each frame starts from.
        c_before: the same of the cells.
        inner: [frames, rank], `h_before` behind `down`; None where the recurrent matrix is dense.
    """

    output: Tensor
    h: Tensor
    c: Tensor
    gates: Tensor
    h_before: Tensor
    c_before: Tensor
    inner: Tensor | None


class Backward(NamedTuple):
    """Gradients.

    Attributes:
        d_gates: [frames, 4 units], of the gates before their sigmoid or tanh.
        d_inner: [frames, rank], of `Forward.inner`; None where the recurrent matrix is dense.
        d_h: [batch, units], of the initial state.
        d_c: the same of the cells.
    """

    d_gates: Tensor
    d_inner: Tensor | None
    d_h: Tensor
    d_c: Tensor


def forward(
    gates: Tensor,
    batch_sizes: Tensor,
    up: Tensor,
    down: Tensor | None,
    state: tuple[Tensor, Tensor],
    *,
    reverse: bool,
) -> Forward:
    """The recurrence of one direction, for training.

    Args:
        gates: [frames, 4 units], the input's share with the biases.
        batch_sizes: [time], int64: sequences still running at each step.
        up: the recurrent matrix [4 units, units], or its factor [4 units, rank].
        down: [rank, units]; None where the recurrent matrix is dense.
        state: initial h and c, each [batch, units].
        reverse: whether time runs backwards.

    Raises:
        ValueError: shapes that do not fit together, or weights that are not in float32.
    """
    up, gates = up.contiguous(), gates.clone(memory_format=torch.contiguous_format)
    down = None if down is None else down.contiguous()
    h, c = (part.clone(memory_format=torch.contiguous_format) for part in state)
    (frames, _), (batch, units) = gates.shape, h.shape
    _check_frames(batch_sizes, frames, batch)
    rank = 0 if down is None else len(down)
    output, h_before, c_before = (gates.new_empty(frames, units) for _ in range(3))
    inner = None if down is None else gates.new_empty(frames, rank)
    failed = _kernel().lstm_forward(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        _address(gates, frames, 4 * units),
        rank,
        _address(down, rank, units),
        _address(up, 4 * units, rank or units),
        _address(h, batch, units),
        _address(c, batch, units),
        output.data_ptr(),
        h_before.data_ptr(),
        c_before.data_ptr(),
        _address(inner, frames, rank),
        reverse,
    )
    _check_memory(failed)
    return Forward(output, h, c, gates, h_before, c_before, inner)


def backward(
    gates: Tensor,
    batch_sizes: Tensor,
    up: Tensor,
    down: Tensor | None,
    c_before: Tensor,
    d_output: Tensor,
    d_state: tuple[Tensor, Tensor],
    *,
    reverse: bool,
) -> Backward:
    """The gradient of `forward`.

    Args:
        gates: `Forward.gates`.
        batch_sizes: as there.
        up: as there.
        down: as there.
        c_before: `Forward.c_before`.
        d_output: [frames, units], gradient of the outputs.
        d_state: gradients of the final h and c, each [batch, units].
        reverse: as there.
    """
    up_t, d_output = up.T.contiguous(), d_output.contiguous()
    down_t = None if down is None else down.T.contiguous()
    d_gates = gates.clone()
    d_h, d_c = (part.clone(memory_format=torch.contiguous_format) for part in d_state)
    (frames, units), batch = c_before.shape, len(d_h)
    rank = 0 if down is None else len(down)
    d_inner = None if down is None else gates.new_empty(frames, rank)
    failed = _kernel().lstm_backward(
        len(batch_sizes),
        batch_sizes.data_ptr(),
        units,
        _address(d_gates, frames, 4 * units),
        c_before.data_ptr(),
        rank,
        _address(down_t, units, rank),
        _address(up_t, rank or units, 4 * units),
        _address(d_output, frames, units),
        _address(d_h, batch, units),
        _address(d_c, batch, units),
        _address(d_inner, frames, rank),
        reverse,
    )
    _check_memory(failed)
    return Backward(d_gates, d_inner, d_h, d_c)


def lstm_gates(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next (h, c) of an LSTM from its finished gates [..., 4 units] and the c [..., units] before."""
    gates, c = gates.contiguous(), c.clone(memory_format=torch.contiguous_format)
    h = torch.empty_like(c)
    *leading, units = c.shape
    pointers = _address(gates, *leading, 4 * units), _address(c, *c.shape), _address(h, *c.shape)
    _kernel().lstm_gates(c.numel() // units, units, *pointers)
    return h, c


def _kernel() -> ctypes.CDLL:
    library = _library()
    assert library is not None, "ask usable() first"
    return library


def _check_frames(batch_sizes: Tensor, frames: int, batch: int) -> None:
    if int(batch_sizes.sum()) != frames or int(batch_sizes.max()) != batch:
        raise ValueError(f"{frames} frames of {batch} sequences do not fit batch_sizes {batch_sizes.tolist()}")


def _check_memory(failed: int) -> None:
    if failed:
        raise MemoryError("no memory for the packed weights of an LSTM layer")


def _address(tensor: Tensor | None, *shape: int) -> int | None:
    """The address of `tensor`, which the kernel takes at its word."""
    if tensor is None:
        return None
    if tensor.shape != shape or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        found = f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
        raise ValueError(f"an LSTM got {found} where its weights and input ask for float32 {list(shape)} on the CPU")
    return tensor.data_ptr()
