"""Audio files in, waveforms out.

libsndfile reads WAV, FLAC, OGG and MP3 and goes by a file's content, not its name, so MP3 data called .wav is fine.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr

from shrinkml.errors import AudioError


def read_audio(path: str | Path, sample_rate_hz: int) -> np.ndarray:
    """[samples] float32 waveform of the file in [-1, 1], its channels averaged, resampled to `sample_rate_hz`.

    Raises:
        AudioError: missing, unreadable or empty file, or samples that are not finite.
    """
    samples, file_rate_hz = _decode(Path(path))
    waveform = samples.mean(axis=1, dtype=np.float32)
    if file_rate_hz != sample_rate_hz:
        waveform = soxr.resample(waveform, file_rate_hz, sample_rate_hz)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def write_flac(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Write the `waveform` [samples] in [-1, 1] to `path`, as 16-bit FLAC."""
    # In memory first: libsndfile forces every file that it writes to the disk, which costs most of the time.
    content = io.BytesIO()
    soundfile.write(content, waveform, sample_rate_hz, format="FLAC", subtype="PCM_16")
    path.write_bytes(content.getvalue())


def audio_duration_s(path: Path) -> float:
    """The duration that the file's header states, without decoding the rest.

    Raises:
        AudioError: missing, unreadable or empty file.
    """
    with _open(path) as file:
        if not file.frames:
            raise AudioError(f"{path} holds no samples")
        return float(file.frames / file.samplerate)


def audio_digest(path: Path) -> str:
    """Sixteen hex digits of what is heard: a copy under another name or in another lossless format has the same.

    Raises:
        AudioError: as `read_audio`.
    """
    samples, file_rate_hz = _decode(path)
    digest = hashlib.sha256(f"{file_rate_hz} {samples.shape[1]} ".encode())
    digest.update(samples.tobytes())
    return digest.hexdigest()[:16]


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """([samples, channels] float32, sample rate) of the file."""
    with _open(path) as file:
        samples: np.ndarray = file.read(dtype="float32", always_2d=True)
        sample_rate_hz: int = file.samplerate
    if not len(samples):
        raise AudioError(f"{path} holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} holds samples that are not finite (NaN or infinity)")
    return samples, sample_rate_hz


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        found = path.is_file()
    except OSError as error:
        raise AudioError(f"cannot open {path} ({error.strerror})") from error
    if not found:
        raise AudioError(f"no audio file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless samples, told by the name .raw
        raise AudioError(f"cannot read {path} as audio ({error}); allowed: WAV, FLAC, OGG, MP3") from error
