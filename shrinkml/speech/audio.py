"""Audio files in, waveforms out.

libsndfile reads WAV, FLAC, OGG and MP3 and goes by a file's content, not its name, so MP3 data called .wav is fine.
Files are read from their start to their end, so that those which cannot be sought in are heard as well.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from shrinkml.errors import AudioError

COUNTED = ("MP3", "OGG")  # formats whose headers estimate the length, or know nothing of what was cut off
UNKNOWN_FRAMES = 2**62  # libsndfile's number for a FLAC that was written as a stream is above
BLOCK_FRAMES = 2**16
KEPT_LENGTHS = 2**18  # files whose lengths are kept in memory, a few hundred bytes each


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
    """The duration of what can be heard: by the header where it is to be trusted, else by decoding, once per process.

    Raises:
        AudioError: missing, unreadable, empty or broken off file.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # told by what opens it
        return _length_s(path)
    return _kept_length_s(path, found.st_size, found.st_mtime_ns)


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
        blocks = list(_blocks(file))
        sample_rate_hz: int = file.samplerate
    if not blocks:
        raise AudioError(f"{path} holds no samples")
    samples = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} holds samples that are not finite (NaN or infinity)")
    return samples, sample_rate_hz


@lru_cache(maxsize=KEPT_LENGTHS)
def _kept_length_s(path: Path, _n_bytes: int, _changed_ns: int) -> float:
    return _length_s(path)


def _length_s(path: Path) -> float:
    with _open(path) as file:
        if file.format in COUNTED or not file.can_seek or file.frames > UNKNOWN_FRAMES:
            n_frames = sum(len(block) for block in _blocks(file))
        else:
            n_frames = file.frames
            _check_end(file, path)
        sample_rate_hz = file.samplerate
    if not n_frames:
        raise AudioError(f"{path} holds no samples")
    return float(n_frames / sample_rate_hz)


def _check_end(file: "_Forward", path: Path) -> None:
    """That the last sample can be decoded: the header of a FLAC knows nothing of what was cut off."""
    if file.format != "FLAC" or not file.frames:
        return
    try:
        file.seek(file.frames - 1)
        file.read(1)
    except soundfile.LibsndfileError as error:
        stated = f"its header states {file.frames} samples, and the last cannot be read"
        raise AudioError(f"{path} breaks off: {stated}; fetch or write it again") from error


def _blocks(file: "_Forward") -> Iterator[np.ndarray]:
    """[BLOCK_FRAMES or fewer, channels] float32: all samples of the file."""
    while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield block


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that soundfile does not seek in while it reads."""

    def seekable(self) -> bool:
        """False: after each block, soundfile would seek to where it is, which not all files can."""
        return False

    @property
    def can_seek(self) -> bool:
        """True where libsndfile can seek in the file."""
        return bool(super().seekable())


@contextmanager
def _open(path: Path) -> Iterator[_Forward]:
    try:
        found = path.is_file()
    except OSError as error:
        raise AudioError(f"cannot open {path} ({error.strerror})") from error
    if not found:
        raise AudioError(f"no audio file {path}")
    try:
        with _Forward(path) as file:
            yield file
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless samples, told by the name .raw
        raise AudioError(f"cannot read {path} as audio ({error}); allowed: WAV, FLAC, OGG, MP3") from error
