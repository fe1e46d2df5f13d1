"""What flows into each factorizable matrix when a model works: the statistics that whitening and MAC counts need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from shrinkml.compression.layers import find_slots
from shrinkml.compression.low_rank import LowRankEmbedding
from shrinkml.compression.low_rank_conv import LowRankConv1d, windows
from shrinkml.compression.low_rank_gru import LowRankGRU
from shrinkml.compression.low_rank_gru import as_low_rank as as_low_rank_gru
from shrinkml.compression.low_rank_gru_cell import LowRankGRUCell
from shrinkml.compression.low_rank_lstm import LowRankLSTM, State, as_low_rank
from shrinkml.compression.low_rank_lstm_cell import LowRankLSTMCell
from shrinkml.compression.packed import previous_states
from shrinkml.errors import CalibrationError

Inputs = Iterator[tuple[str, Tensor]]  # for matrices of one module: name, and inputs [frames, in], maybe in parts


@dataclass(frozen=True, slots=True)
class LayerStats:
    """The inputs of one matrix over a calibration run.

    Attributes:
        gram: [in, in], the sum over frames of x x^T.
        total: [in], the sum over frames of x.
        n_frames: inputs seen: products with the matrix.
    """

    gram: Tensor
    total: Tensor
    n_frames: int

    def __add__(self, other: "LayerStats") -> "LayerStats":
        """The statistics of the inputs of both."""
        return LayerStats(self.gram + other.gram, self.total + other.total, self.n_frames + other.n_frames)


@torch.no_grad()
def calibrate(model: nn.Module, run: Callable[[], object]) -> dict[str, LayerStats]:
    """Statistics of every factorizable matrix over one call of `run`: layer name -> statistics.

    Recurrent matrices are described by the hidden states that they multiply. Matrices that `run` does not reach, and
    embeddings, which are looked up and not multiplied, are left out. Padding counts as input: give sequences of
    different lengths packed, as `nn.LSTM` wants them.

    Args:
        model: dense or in part low rank; it is the same afterwards, also when `run` fails.
        run: lets the model work on the calibration speech.

    Raises:
        CalibrationError: `run` reached no layer, or an input was not finite.
    """
    totals: dict[str, LayerStats] = {}
    layers: dict[nn.Module, dict[str, str]] = {}
    for slot in find_slots(model):
        layers.setdefault(slot.module, {})[slot.name] = slot.layer
    with ExitStack() as hooks:
        for module, names in layers.items():
            hooks.enter_context(module.register_forward_pre_hook(_recorder(names, totals), with_kwargs=True))
        run()
    if not totals:
        raise CalibrationError("the calibration run reached no factorizable layer of the model; let it call the model")
    for layer, stats in totals.items():
        if not bool(stats.gram.isfinite().all()):
            raise CalibrationError(
                f"layer {layer!r} got NaN or infinite inputs in calibration; check features and weights"
            )
    return totals


def calls_per_s(stats: Mapping[str, LayerStats], audio_s: float) -> dict[str, float]:
    """Products with each layer's matrix per second of the `audio_s` seconds of speech that it was calibrated on."""
    return {layer: found.n_frames / audio_s for layer, found in stats.items()}


def _recorder(
    layers: Mapping[str, str], totals: dict[str, LayerStats]
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    """A forward pre-hook that adds to `totals` what the matrices `layers` (name in the module -> layer) are given."""

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name, x in _inputs(module, *args, **kwargs):
            if name in layers:
                seen = LayerStats(x.T @ x, x.sum(0), len(x))
                before = totals.get(layers[name])
                totals[layers[name]] = seen if before is None else before + seen

    return record


def _inputs(module: nn.Module, input: Any, hx: Any = None) -> Inputs:
    """The inputs of the matrices of `module` when it is called with `input` and, if recurrent, the state `hx`."""
    if isinstance(module, nn.LSTM | LowRankLSTM):
        yield from _lstm_inputs(as_low_rank(module), input, hx)
    elif isinstance(module, nn.GRU | LowRankGRU):
        yield from _gru_inputs(as_low_rank_gru(module), input, hx)
    elif isinstance(module, nn.LSTMCell | LowRankLSTMCell | nn.GRUCell | LowRankGRUCell):
        state = hx[0] if isinstance(hx, tuple) else hx
        h = input.new_zeros(*input.shape[:-1], module.hidden_size) if state is None else state
        yield "weight_ih", input.reshape(-1, module.input_size)
        yield "weight_hh", h.reshape(-1, module.hidden_size)
    elif isinstance(module, nn.Conv1d | LowRankConv1d):
        yield from (("weight", part) for part in windows(module, input))
    elif not isinstance(module, nn.Embedding | LowRankEmbedding):
        yield "weight", input.reshape(-1, input.shape[-1])


def _lstm_inputs(lstm: LowRankLSTM, input: Tensor | PackedSequence, hx: State | None) -> Inputs:
    for layer, run in enumerate(lstm.run_layers(input, hx)):
        yield from _layer_inputs(lstm.suffixes(layer), run.input, run.output, run.initial[0], run.batch_sizes)


def _gru_inputs(gru: LowRankGRU, input: Tensor | PackedSequence, hx: Tensor | None) -> Inputs:
    for layer, run in enumerate(gru.run_layers(input, hx)):
        yield from _layer_inputs(gru.suffixes(layer), run.input, run.output, run.initial, run.batch_sizes)


def _layer_inputs(suffixes: Sequence[str], x: Tensor, output: Tensor, initial: Tensor, batch_sizes: Tensor) -> Inputs:
    """What the matrices of one recurrent layer multiply, in each direction: the frames, and the state before each."""
    outputs = output.chunk(len(suffixes), dim=1)
    for direction, suffix in enumerate(suffixes):
        h = previous_states(outputs[direction], initial[direction], batch_sizes, reverse=direction == 1)
        yield f"weight_ih_{suffix}", x
        yield f"weight_hh_{suffix}", h
