"""Log-mel features, as Kaldi computes them (kaldi-native-fbank)."""

import kaldi_native_fbank
import numpy as np

from shrinkml.errors import AudioError

FRAME_LENGTH_MS = 25.0
FRAME_SHIFT_MS = 10.0
PCM16_SCALE = 32768.0  # Kaldi works on 16-bit sample values; its energy floor and so its quietest frames assume them


def log_mel(waveform: np.ndarray, sample_rate_hz: int, *, n_mels: int = 80) -> np.ndarray:
    """[frames, n_mels] float32 natural-log mel energies of a waveform, one frame of 25 ms every 10 ms.

    No dither, so equal waveforms give equal features.

    Args:
        waveform: [samples] mono float32 in [-1, 1], at least one frame long.
        sample_rate_hz: of the waveform.
        n_mels: mel bins from 20 Hz to half the sample rate.

    Raises:
        AudioError: the waveform is shorter than one frame.
    """
    shortest = round(sample_rate_hz * FRAME_LENGTH_MS / 1000)
    if len(waveform) < shortest:
        raise AudioError(f"a waveform of {len(waveform)} samples is shorter than one frame ({shortest} samples)")
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = sample_rate_hz
    options.frame_opts.frame_length_ms = FRAME_LENGTH_MS
    options.frame_opts.frame_shift_ms = FRAME_SHIFT_MS
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = n_mels
    fbank = kaldi_native_fbank.OnlineFbank(options)
    # A list: the binding copies its argument element by element, a fifth slower from an array.
    fbank.accept_waveform(sample_rate_hz, (np.asarray(waveform, dtype=np.float32) * PCM16_SCALE).tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
