"""Recordings made on the spot: eSpeak NG's voices, at varied level, in varied noise, written as FLAC.

A shard of takes is spoken by a fresh process (`python -m shrinkml.speech.corpora.synthesis FOLDER`, takes as JSON lines
on its input, durations on its output), because eSpeak repeats itself exactly only from a fresh start and in the same
order. So the audio depends on the takes alone, not on how many processes work side by side.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soxr

from shrinkml.errors import AudioError
from shrinkml.speech.audio import write_flac
from shrinkml.speech.corpora.espeak import Espeak, Voice

SAMPLE_RATE_HZ = 16_000
SHARD_TAKES = 400
BABBLE_TALKERS = 8
BABBLE_S = 12.0
PEAK = 0.99  # a take that would clip is made quieter
SPEECH_FLOOR = 0.01  # of the peak: what eSpeak adds before and after the words lies below

Noise = Literal["none", "white", "pink", "babble"]


@dataclass(frozen=True, slots=True)
class Take:
    """One recording to make.

    Attributes:
        path: of the FLAC file, relative to the output folder.
        text: what is said.
        voice: who says it.
        level_dbfs: root mean square of the speech relative to full scale.
        noise: what is heard behind it, throughout.
        snr_db: speech to noise; without effect where `noise` is "none".
        before_s: time before the first word.
        after_s: time after the last word.
        seed: of the noise.
    """

    path: str
    text: str
    voice: Voice
    level_dbfs: float
    noise: Noise
    snr_db: float
    before_s: float
    after_s: float
    seed: int


def synthesise(takes: Sequence[Take], folder: Path, *, workers: int = 2) -> list[float]:
    """The duration in seconds of every take, once it lies under `folder`.

    Args:
        takes: what to record; the same list gives the same samples.
        folder: where the files go; made if missing.
        workers: processes side by side.

    Raises:
        AudioError: a process failed; the message ends with what it said last.
    """
    for parent in {(folder / take.path).parent for take in takes}:
        parent.mkdir(parents=True, exist_ok=True)
    shards = [takes[start : start + SHARD_TAKES] for start in range(0, len(takes), SHARD_TAKES)]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        durations = pool.map(lambda shard: _record_shard(shard, folder), shards)
        return [duration_s for shard in durations for duration_s in shard]


def _record_shard(takes: Sequence[Take], folder: Path) -> list[float]:
    lines = "\n".join(json.dumps(asdict(take)) for take in takes)
    command = [sys.executable, "-m", __name__, str(folder)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AudioError(f"synthesis failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return [float(line) for line in done.stdout.split()]


def record(takes: Sequence[Take], folder: Path) -> Iterator[float]:
    """The duration in seconds of each take, as soon as it is written. Reproducible in a fresh process only."""
    espeak = Espeak()
    babble = _babble([_speech(espeak, take) for take in takes[:BABBLE_TALKERS]])
    for take in takes:
        waveform = _mix(_speech(espeak, take), take, babble)
        write_flac(folder / take.path, waveform, SAMPLE_RATE_HZ)
        yield len(waveform) / SAMPLE_RATE_HZ


def _speech(espeak: Espeak, take: Take) -> np.ndarray:
    """[samples] at SAMPLE_RATE_HZ and `take.level_dbfs`, from the first word to the last."""
    speech = espeak.say(take.text, take.voice)
    loud = np.flatnonzero(np.abs(speech) > SPEECH_FLOOR * np.abs(speech).max())
    speech = soxr.resample(speech[loud[0] : loud[-1] + 1], espeak.sample_rate_hz, SAMPLE_RATE_HZ)
    leveled: np.ndarray = speech * (10 ** (take.level_dbfs / 20) / _rms(speech))
    return leveled


def _mix(speech: np.ndarray, take: Take, babble: np.ndarray) -> np.ndarray:
    """`speech` with time around it and noise behind all of it."""
    before, after = (round(seconds * SAMPLE_RATE_HZ) for seconds in (take.before_s, take.after_s))
    waveform = np.pad(speech, (before, after))
    noise = _noise(take, len(waveform), babble)
    waveform = waveform + noise * (_rms(speech) * 10 ** (-take.snr_db / 20))
    unclipped: np.ndarray = waveform * min(1.0, PEAK / np.abs(waveform).max())
    return unclipped


def _noise(take: Take, n_samples: int, babble: np.ndarray) -> np.ndarray:
    """[n_samples] of the take's noise, root mean square about 1."""
    generator = np.random.default_rng(take.seed)
    if take.noise == "none":
        return np.zeros(n_samples)
    if take.noise == "babble":
        start = generator.integers(len(babble))
        return np.take(babble, np.arange(start, start + n_samples), mode="wrap")
    white = generator.standard_normal(n_samples)
    return white if take.noise == "white" else _pink(white)


def _pink(white: np.ndarray) -> np.ndarray:
    """`white` noise with its power falling as 1 / frequency."""
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    pink = np.fft.irfft(spectrum, len(white))
    return pink / _rms(pink)


def _babble(speech: Sequence[np.ndarray]) -> np.ndarray:
    """BABBLE_S of all `speech` at once, each repeated, root mean square 1."""
    n_samples = round(BABBLE_S * SAMPLE_RATE_HZ)
    babble: np.ndarray = sum((np.resize(one / _rms(one), n_samples) for one in speech), np.zeros(n_samples))
    return babble / _rms(babble)


def _rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def main() -> None:
    """Record the takes on standard input into the folder that the command line names."""
    takes = []
    for line in sys.stdin:
        value = json.loads(line)
        takes.append(Take(**{**value, "voice": Voice(**value["voice"])}))
    for duration_s in record(takes, Path(sys.argv[1])):
        # Flushed one by one, so that a worker whose parent has died ends at its next take.
        print(duration_s, flush=True)


if __name__ == "__main__":
    main()
