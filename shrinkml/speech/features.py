"""Log-mel features, as Kaldi computes them (kaldi-native-fbank), of whole waveforms and of streams."""

from dataclasses import dataclass

import kaldi_native_fbank
import numpy as np

from shrinkml.errors import AudioError

FRAME_LENGTH_MS = 25.0
FRAME_SHIFT_MS = 10.0
PCM16_SCALE = 32768.0  # Kaldi works on 16-bit sample values; its energy floor and so its quietest frames assume them


@dataclass(frozen=True, slots=True)
class Framing:
    """The place of frames in a waveform, and of mel bins in the spectrum.

    Attributes:
        snip_edges: whether each frame lies whole in the waveform; otherwise one is centred on every 10 ms, and the
            waveform is mirrored at its ends.
        spared_hz: highest frequencies, below half the sample rate, that are in no mel bin.
    """

    snip_edges: bool = True
    spared_hz: float = 0.0


WHOLE = Framing()
CENTRED = Framing(snip_edges=False, spared_hz=400.0)  # of Kaldi's newer recipes, and of the programs that run them


def log_mel(waveform: np.ndarray, sample_rate_hz: int, *, n_mels: int = 80, framing: Framing = WHOLE) -> np.ndarray:
    """[frames, n_mels] float32 natural-log mel energies of a waveform, one frame of 25 ms every 10 ms.

    No dither, so equal waveforms give equal features.

    Args:
        waveform: [samples] mono float32 in [-1, 1], at least one frame long.
        sample_rate_hz: of the waveform.
        n_mels: mel bins from 20 Hz to half the sample rate.
        framing: where frames lie.

    Raises:
        AudioError: the waveform is shorter than one frame.
    """
    shortest = round(sample_rate_hz * FRAME_LENGTH_MS / 1000)
    if len(waveform) < shortest:
        raise AudioError(f"a waveform of {len(waveform)} samples is shorter than one frame ({shortest} samples)")
    stream = LogMelStream(sample_rate_hz, n_mels=n_mels, framing=framing)
    return np.concatenate([stream.accept(waveform), stream.finish()])


class LogMelStream:
    """The features of a waveform that comes in pieces: together they are `log_mel` of the whole."""

    def __init__(self, sample_rate_hz: int, *, n_mels: int = 80, framing: Framing = WHOLE) -> None:
        """A stream that has heard nothing; arguments as for `log_mel`."""
        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.samp_freq = sample_rate_hz
        options.frame_opts.frame_length_ms = FRAME_LENGTH_MS
        options.frame_opts.frame_shift_ms = FRAME_SHIFT_MS
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = framing.snip_edges
        options.mel_opts.num_bins = n_mels
        options.mel_opts.high_freq = -framing.spared_hz
        self._fbank = kaldi_native_fbank.OnlineFbank(options)
        self._sample_rate_hz = sample_rate_hz
        self._n_mels = n_mels
        self._n_given = 0

    def accept(self, waveform: np.ndarray) -> np.ndarray:
        """[frames, n_mels]: the frames that are whole by the end of the piece `waveform` [samples], and were not."""
        # A list: the binding copies its argument element by element, a fifth slower from an array.
        samples = (np.asarray(waveform, dtype=np.float32) * PCM16_SCALE).tolist()
        self._fbank.accept_waveform(self._sample_rate_hz, samples)
        return self._given()

    def finish(self) -> np.ndarray:
        """[frames, n_mels]: those that the end makes whole."""
        self._fbank.input_finished()
        return self._given()

    def _given(self) -> np.ndarray:
        ready = range(self._n_given, self._fbank.num_frames_ready)
        frames = np.zeros((len(ready), self._n_mels), np.float32)
        for row, i in zip(frames, ready, strict=True):
            row[:] = self._fbank.get_frame(i)  # a view of what `pop` frees
        self._n_given += len(ready)
        self._fbank.pop(len(ready))
        return frames
