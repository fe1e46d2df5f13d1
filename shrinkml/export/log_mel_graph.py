"""Log-mel features inside an ONNX graph, the same as `shrinkml.speech.features` and the recognisers compute.

Everything that Kaldi does to a frame before its power spectrum (mean removed, pre-emphasis, Povey's window, discrete
Fourier transform) is linear: one matrix, applied to all frames by a convolution. The graph makes that matrix itself
when it is loaded, from a few constants: stored, it would outweigh a small recogniser.

References:
    Povey et al. 2011, The Kaldi speech recognition toolkit (feature-window.cc, feature-fbank.cc, mel-computations.cc).
"""

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from shrinkml.export.graph import Graph
from shrinkml.speech.features import FRAME_LENGTH_MS, FRAME_SHIFT_MS, PCM16_SCALE, WHOLE, Framing

PREEMPHASIS = 0.97
LOWEST_HZ = 20.0  # edge of the first mel bin


def frame_samples(sample_rate_hz: int) -> tuple[int, int]:
    """Samples of a frame, and from one frame to the next."""
    return round(sample_rate_hz * FRAME_LENGTH_MS / 1000), round(sample_rate_hz * FRAME_SHIFT_MS / 1000)


def frame_counts(graph: Graph, lengths: str, sample_rate_hz: int, framing: Framing = WHOLE) -> str:
    """Frames of each utterance of `lengths` [batch] samples."""
    length, shift = frame_samples(sample_rate_hz)
    if not framing.snip_edges:
        return graph.op("Div", graph.op("Add", lengths, graph.ints(shift // 2)), graph.ints(shift))
    after_first = graph.op("Div", graph.op("Sub", lengths, graph.ints(length)), graph.ints(shift))
    return graph.op("Add", after_first, graph.ints(1))


def mirrored(graph: Graph, waveforms: str, lengths: str, sample_rate_hz: int) -> str:
    """`waveforms` [batch, samples], of `lengths` [batch], continued at both ends so that frames are centred.

    Each then lies whole in what is given out, one every 10 ms; waveforms are one frame long, at least.
    """
    length, shift = frame_samples(sample_rate_hz)
    early = (length - shift) // 2  # samples of the first frame that come before the waveform
    n_frames = graph.op("Div", graph.op("Add", graph.size(waveforms, 1), graph.ints(shift // 2)), graph.ints(shift))
    n_samples = graph.op("Add", graph.op("Mul", n_frames, graph.ints(shift)), graph.ints(length - shift))
    zero, one = graph.ints(0), graph.ints(1)
    at = graph.op("Sub", graph.count(n_samples), graph.ints(early))
    at = graph.op("Where", graph.op("Less", at, zero), graph.op("Sub", graph.op("Neg", at), one), at)
    ends = graph.op("Unsqueeze", lengths, graph.ints(1))
    back = graph.op("Sub", graph.op("Sub", graph.op("Add", ends, ends), one), at)
    at = graph.op("Where", graph.op("Less", at, ends), at, graph.op("Max", back, zero))
    return graph.op("GatherElements", waveforms, at, axis=1)


def log_mel(
    graph: Graph, waveforms: str, sample_rate_hz: int, n_mels: int, *, quietest: float, framing: Framing = WHOLE
) -> str:
    """[batch, n_mels, frames] natural-log mel energies of `waveforms` [batch, samples], at least `quietest` each.

    Where frames are centred, the waveforms are `mirrored`.
    """
    length, shift = frame_samples(sample_rate_hz)
    n_fft = 2 ** math.ceil(math.log2(length))
    filters = _triangles(graph, sample_rate_hz, n_mels, n_fft, highest_hz=sample_rate_hz / 2 - framing.spared_hz)
    energy = energies(graph, waveforms, _analysis(graph, length, n_fft), filters, shift=shift)
    return graph.op("Log", graph.op("Max", energy, graph.constant(np.exp(quietest))))


def normalised(graph: Graph, mel: str, counts: str, *, quietest: float, least: int, epsilon: float) -> tuple[str, str]:
    """`mel` [batch, n_mels, frames] with zero mean and unit variance per bin and utterance, and its valid frames.

    Utterances of fewer frames than `least` are filled up with the energy `quietest`; beyond its end each is zero.
    `epsilon` is added to the standard deviation.
    """
    missing = graph.op("Sub", graph.ints(least), graph.size(mel, 2))
    mel = pad_end(graph, mel, graph.op("Max", missing, graph.ints(0)), axis=2, n_axes=3)
    mel = graph.op("Where", before(graph, mel, counts), mel, graph.constant(quietest))
    counts = graph.op("Max", counts, graph.ints(least))
    inside = before(graph, mel, counts)
    n = graph.op("Unsqueeze", graph.op("Cast", counts, to=TensorProto.FLOAT), graph.ints(1, 2))
    zero, time = graph.constant(0.0), graph.ints(2)
    mean = graph.op("Div", graph.op("ReduceSum", graph.op("Where", inside, mel, zero), time), n)
    centred = graph.op("Where", inside, graph.op("Sub", mel, mean), zero)
    squares = graph.op("ReduceSum", graph.op("Mul", centred, centred), time)
    spread = graph.op("Sqrt", graph.op("Div", squares, graph.op("Sub", n, graph.constant(1.0))))
    return graph.op("Div", centred, graph.op("Add", spread, graph.constant(epsilon))), counts


def pad_end(graph: Graph, x: str, amount: str, *, axis: int, n_axes: int) -> str:
    """`x`, of `n_axes` axes, with `amount` [1] zeros at the end of `axis`."""
    before, after = graph.ints(*[0] * (n_axes + axis)), [0] * (n_axes - axis - 1)
    pads = graph.op("Concat", before, amount, *([graph.ints(*after)] if after else []), axis=0)
    return graph.op("Pad", x, pads)


def before(graph: Graph, x: str, counts: str) -> str:
    """[batch, 1, frames]: which frames of `x` [batch, dims, frames] come before the end of their utterance."""
    frames = graph.count(graph.size(x, 2))
    return graph.op("Less", frames, graph.op("Unsqueeze", counts, graph.ints(1, 2)))


def _triangles(graph: Graph, sample_rate_hz: int, n_mels: int, n_fft: int, *, highest_hz: float) -> str:
    """[n_mels, bins]: how much each bin of the power spectrum counts for each mel bin."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(highest_hz), n_mels + 2)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = graph.constant(_mel(np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft))
    rising = graph.op("Mul", graph.op("Sub", bins, graph.constant(left)), graph.constant(1 / (centre - left)))
    falling = graph.op("Mul", graph.op("Sub", graph.constant(right), bins), graph.constant(1 / (right - centre)))
    return graph.op("Max", graph.op("Min", rising, falling), graph.constant(0.0))


def energies(graph: Graph, waveforms: str, kernel: str, filters: str, *, shift: int, pad: int = 0) -> str:
    """[batch, filters, frames]: filtered power spectra of `waveforms` [batch, samples], a frame every `shift` samples.

    Args:
        graph: to write to.
        waveforms: [batch, samples].
        kernel: [2 * bins, length], from a frame to the cosine and then the sine part of its spectrum.
        filters: [filters, bins].
        shift: samples from one frame to the next.
        pad: zeros before the first and after the last sample.
    """
    samples = graph.op("Unsqueeze", waveforms, graph.ints(1))
    parts = graph.op("Conv", samples, graph.op("Unsqueeze", kernel, graph.ints(1)), strides=[shift], pads=[pad, pad])
    # The power of a bin is that of its cosine and that of its sine part.
    both = graph.op("Concat", filters, filters, axis=1)
    return graph.op("MatMul", both, graph.op("Mul", parts, parts))


def fourier(graph: Graph, window: np.ndarray, n_fft: int) -> str:
    """[2 * bins, length]: the discrete Fourier transform of a frame under `window` [length], cosine then sine parts."""
    bins = graph.op("Unsqueeze", graph.count(graph.ints(n_fft // 2 + 1)), graph.ints(1))
    turns = graph.op("Mul", bins, graph.count(graph.ints(len(window))))
    phases = graph.op("Mod", turns, graph.ints(n_fft))  # whole turns are taken off as integers: exact
    angles = graph.op("Mul", graph.op("Cast", phases, to=TensorProto.FLOAT), graph.constant(2 * np.pi / n_fft))
    waves = graph.op("Concat", graph.op("Cos", angles), graph.op("Sin", angles), axis=0)
    return graph.op("Mul", waves, graph.constant(window))


def _analysis(graph: Graph, length: int, n_fft: int) -> str:
    """[2 * bins, length]: all that Kaldi does to a frame of `length` samples before its power spectrum."""
    windowed = fourier(graph, PCM16_SCALE * _povey_window(length), n_fft)
    # Kaldi subtracts from each sample a share of the one before it, from the first its own.
    first = graph.op("Slice", windowed, graph.ints(0), graph.ints(1), graph.ints(1))
    later = graph.op("Slice", windowed, graph.ints(1), graph.ints(length), graph.ints(1))
    shifted = pad_end(graph, later, graph.ints(1), axis=1, n_axes=2)
    at_first = pad_end(graph, first, graph.ints(length - 1), axis=1, n_axes=2)
    echo = graph.op("Mul", graph.op("Add", shifted, at_first), graph.constant(PREEMPHASIS))
    emphasised = graph.op("Sub", windowed, echo)
    return graph.op("Sub", emphasised, graph.op("ReduceMean", emphasised, graph.ints(1)))


def _povey_window(length: int) -> np.ndarray:
    """Kaldi's own window: a Hann window to the power of 0.85."""
    window: np.ndarray = np.hanning(length) ** 0.85
    return window


def _mel(hz: Any) -> Any:
    """The mel scale as Kaldi has it."""
    return 1127.0 * np.log1p(hz / 700.0)
