"""Feature extractors of transformers as ONNX operators."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from shrinkml.errors import ExportError
from shrinkml.export.graph import Axes, Graph
from shrinkml.export.log_mel_graph import before, energies, fourier, frame_counts, log_mel, normalised, pad_end

WAVE_EPSILON = 1e-7  # Wav2Vec2FeatureExtractor: added to the variance
MEL_EPSILON = 1e-5  # ParakeetFeatureExtractor: added to the standard deviation
MEL_FLOOR = 2.0**-24  # the same: added to energies before their logarithm
KALDI_FLOOR = 1.192092955078125e-07  # Speech2TextFeatureExtractor: the least energy
WHISPER_FLOOR = 1e-10  # WhisperFeatureExtractor: the least energy,
WHISPER_RANGE = 8.0  # decades from the loudest energy of the window to the least that is told apart,
WHISPER_SCALE = 4.0  # and what these are moved and divided by


class Heard(NamedTuple):
    """The input of a network.

    Attributes:
        values: in the network's own layout.
        counts: [batch], the frames that count.
        shape: of `values`.
    """

    values: str
    counts: str
    shape: Axes


def _waveform(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> Heard:
    """Wav2Vec2's: the waveform, of zero mean and unit variance where it is told so."""
    rows = graph.op("Unsqueeze", waveforms, graph.ints(1))
    inside, zero = before(graph, rows, lengths), graph.constant(0.0)
    rows = graph.op("Where", inside, rows, zero)
    if extractor.do_normalize:
        n = graph.op("Unsqueeze", graph.op("Cast", lengths, to=TensorProto.FLOAT), graph.ints(1, 2))
        mean = graph.op("Div", graph.op("ReduceSum", rows, graph.ints(2)), n)
        rows = graph.op("Where", inside, graph.op("Sub", rows, mean), zero)
        variance = graph.op("Div", graph.op("ReduceSum", graph.op("Mul", rows, rows), graph.ints(2)), n)
        rows = graph.op("Div", rows, graph.op("Sqrt", graph.op("Add", variance, graph.constant(WAVE_EPSILON))))
    return Heard(graph.op("Squeeze", rows, graph.ints(1)), lengths, ("batch", "samples"))


def _parakeet(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> Heard:
    """Parakeet's: log-mel, of zero mean and unit variance per bin."""
    rows = graph.op("Unsqueeze", waveforms, graph.ints(1))
    late = graph.op("Slice", rows, graph.ints(0), graph.ints(-1), graph.ints(2))
    echo = graph.op("Pad", graph.op("Mul", late, graph.constant(extractor.preemphasis)), graph.ints(0, 0, 1, 0, 0, 0))
    rows = graph.op("Where", before(graph, rows, lengths), graph.op("Sub", rows, echo), graph.constant(0.0))
    kernel = fourier(graph, np.hanning(extractor.win_length), extractor.n_fft)
    filters = graph.constant(extractor.mel_filters.numpy())
    energy = energies(
        graph,
        graph.op("Squeeze", rows, graph.ints(1)),
        kernel,
        filters,
        shift=extractor.hop_length,
        pad=extractor.win_length // 2,  # frames are centred on multiples of the shift
    )
    mel = graph.op("Log", graph.op("Add", energy, graph.constant(MEL_FLOOR)))
    mel = graph.op("Slice", mel, graph.ints(0), graph.ints(-1), graph.ints(2))  # the last frame never counts
    counts = graph.op("Div", lengths, graph.ints(extractor.hop_length))
    mel, counts = normalised(graph, mel, counts, quietest=0.0, least=1, epsilon=MEL_EPSILON)
    shape = ("batch", "frames", extractor.feature_size)
    return Heard(graph.op("Transpose", mel, perm=[0, 2, 1]), counts, shape)


def _whisper(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> Heard:
    """Whisper's: log-mel of a window of fixed length, filled up with silence; the frames up to there count.

    Of the silence, only so much is transformed as reaches into frames with sound: the energy of the rest is known. What
    is longer than the window makes more frames than the network takes: ONNX Runtime says so.
    """
    rows = graph.op("Unsqueeze", waveforms, graph.ints(1))
    rows = graph.op("Where", before(graph, rows, lengths), rows, graph.constant(0.0))
    heard = graph.ints(extractor.n_fft + extractor.hop_length)
    missing = graph.op("Min", graph.op("Sub", graph.ints(extractor.n_samples), graph.size(rows, 2)), heard)
    rows = pad_end(graph, rows, graph.op("Max", missing, graph.ints(0)), axis=2, n_axes=3)
    half = extractor.n_fft // 2  # frames are centred on multiples of the shift; beyond its ends, sound is mirrored
    rows = graph.op("Pad", rows, graph.ints(0, 0, half, 0, 0, half), mode="reflect")
    kernel = fourier(graph, np.hanning(extractor.n_fft + 1)[:-1], extractor.n_fft)
    filters = graph.constant(extractor.mel_filters.T)
    samples = graph.op("Squeeze", rows, graph.ints(1))
    energy = energies(graph, samples, kernel, filters, shift=extractor.hop_length)
    energy = graph.op("Slice", energy, graph.ints(0), graph.ints(-1), graph.ints(2))  # the last frame never counts
    missing = graph.op("Sub", graph.ints(extractor.nb_max_frames), graph.size(energy, 2))
    energy = pad_end(graph, energy, graph.op("Max", missing, graph.ints(0)), axis=2, n_axes=3)
    natural = graph.op("Log", graph.op("Max", energy, graph.constant(WHISPER_FLOOR)))
    decades = graph.op("Mul", natural, graph.constant(1 / np.log(10)))
    everything = graph.ints(1, 2)
    loudest = graph.op("ReduceMax", decades, everything)
    mel = graph.op("Max", decades, graph.op("Sub", loudest, graph.constant(WHISPER_RANGE)))
    scale = graph.constant(WHISPER_SCALE)
    values = graph.op("Div", graph.op("Add", mel, scale), scale)
    shape = ("batch", extractor.feature_size, extractor.nb_max_frames)
    return Heard(values, _counts(graph, lengths, extractor), shape)


def _counts(graph: Graph, lengths: str, extractor: Any) -> str:
    """[batch]: frames up to the first that hears nothing of utterances of `lengths` samples, that included."""
    hop = extractor.hop_length
    reached = graph.op("Add", lengths, graph.ints(extractor.n_fft // 2 + hop - 1))
    counts = graph.op("Add", graph.op("Div", reached, graph.ints(hop)), graph.ints(1))
    return graph.op("Min", counts, graph.ints(extractor.nb_max_frames))


def _speech_to_text(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> Heard:
    """Speech2Text's: Kaldi's log-mel, of zero mean and unit variance per bin where it is told so."""
    rate_hz = extractor.sampling_rate
    mel = log_mel(graph, waveforms, rate_hz, extractor.num_mel_bins, quietest=float(np.log(KALDI_FLOOR)))
    time = graph.ints(2)
    if extractor.do_ceptral_normalize and extractor.normalize_means:
        mel = graph.op("Sub", mel, graph.op("ReduceMean", mel, time))
    if extractor.do_ceptral_normalize and extractor.normalize_vars:
        centred = graph.op("Sub", mel, graph.op("ReduceMean", mel, time))
        spread = graph.op("Sqrt", graph.op("ReduceMean", graph.op("Mul", centred, centred), time))
        zero = graph.constant(0.0)
        mel = graph.op("Where", graph.op("Greater", spread, zero), graph.op("Div", mel, spread), zero)
    shape = ("batch", "frames", extractor.num_mel_bins)
    return Heard(graph.op("Transpose", mel, perm=[0, 2, 1]), frame_counts(graph, lengths, rate_hz), shape)


FrontEnd = Callable[[Graph, str, str, Any], Heard]
FRONT_ENDS: dict[str, FrontEnd] = {
    "Wav2Vec2FeatureExtractor": _waveform,
    "ParakeetFeatureExtractor": _parakeet,
    "WhisperFeatureExtractor": _whisper,
    "Speech2TextFeatureExtractor": _speech_to_text,
}


def front_end_of(extractor: Any) -> FrontEnd:
    """The function that writes what `extractor`, of transformers, does.

    Raises:
        ExportError: it does something that nobody has written yet.
    """
    name = type(extractor).__name__
    if name not in FRONT_ENDS:
        raise ExportError(f"what a {name} does cannot be exported to ONNX; allowed: {', '.join(FRONT_ENDS)}")
    return FRONT_ENDS[name]
