"""Audio files in, waveforms out.

libsndfile reads WAV, FLAC, OGG and MP3 and goes by a file's content, not its name, so MP3 data called .wav is fine.
"""

import hashlib
from pathlib import Path

import numpy as np
import soundfile
import soxr

from shrinkml.errors import AudioError


def read_audio(path: Path, sample_rate_hz: int) -> np.ndarray:
    """[samples] float32 waveform of the file in [-1, 1], its channels averaged, resampled to `sample_rate_hz`.

    Raises:
        AudioError: missing, unreadable or empty file, or samples that are not finite.
    """
    if not path.is_file():
        raise AudioError(f"no audio file {path}")
    try:
        samples, file_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"cannot read {path}: {error.error_string} Allowed: WAV, FLAC, OGG, MP3") from error
    if not len(samples):
        raise AudioError(f"{path} holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} holds samples that are not finite (NaN or infinity)")
    waveform = samples.mean(axis=1, dtype=np.float32)
    if file_rate_hz != sample_rate_hz:
        waveform = soxr.resample(waveform, file_rate_hz, sample_rate_hz)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def audio_digest(path: Path) -> str:
    """Sixteen hex digits of the file's bytes: two copies of one recording share them, whatever they are called."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
