"""The `digits` task: digit strings of real people, joined from single words of the Free Spoken Digit Dataset.

References:
    Jackson et al., Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shrinkml.errors import ManifestError
from shrinkml.speech.audio import read_audio, write_flac
from shrinkml.speech.corpora.prepared import SPLITS, prepare_once
from shrinkml.speech.manifest import Utterance, write_manifest
from shrinkml.speech.speakers import hold_out_speakers
from shrinkml.tables import look_up

SAMPLE_RATE_HZ = 8_000  # the dataset's; strings keep it, and a model's reader resamples
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# The dataset's own test split, takes 0 to 4, is 300 recordings: a single misheard one weighs a third of a point. Here
# dev and test have twice as many each.
ALL_TAKES = range(50)
TAKES = {"train": range(20, 50), "dev": range(10, 20), "test": range(10)}
MIN_DIGITS, MAX_DIGITS = 3, 6
MIN_PAUSE_S, MAX_PAUSE_S = 0.05, 0.25
# Of full scale, about -70 dB: digital silence between words would dwarf speech in the variance of a log-mel.
ROOM_NOISE = 3e-4
RECORDING = re.compile(r"(?P<digit>\d)_(?P<speaker>\w+)_(?P<take>\d+)")
HELD_OUT_SPEAKERS = {"dev": 1, "test": 1}

# speaker -> digit -> its takes, as waveforms
Recordings = Mapping[str, Sequence[Sequence[np.ndarray]]]


def prepare(
    folder: Path,
    source: Path,
    *,
    hold_out: str = "recordings",
    seed: int = 0,
    train: int = 3000,
    dev: int = 800,
    test: int = 800,
) -> dict[str, Path]:
    """Split -> manifest of the digits task in `folder`, joined from `source` unless it is there already.

    Args:
        folder: where manifests and audio (FLAC, 8 kHz) go.
        source: the dataset; its recordings lie in `recordings/{digit}_{speaker}_{take}.wav`.
        hold_out: what the test set holds that training does not. "recordings": other takes by the same six people; the
            manifests name no speakers, because every one is in all of them.
            "speakers": one person for dev, one for test, the others for train; all their takes are used.
        seed: of digits, takes and pauses, and of who is held out.
        train: strings.
        dev: strings.
        test: strings.

    Raises:
        UnknownNameError: another `hold_out`.
        AudioError: a recording that cannot be read.
        ManifestError: `source` is not the dataset, or `folder` holds something else.
    """
    parameters = {"task": "digits", "version": 4, "source": str(source.resolve()), "hold_out": hold_out, "seed": seed}
    sizes = {"train": train, "dev": dev, "test": test}
    divide = look_up(HOLD_OUT, hold_out, kind="way to hold out")

    def write(fresh: Path) -> None:
        by_split = divide(source, seed)
        for split, n in sizes.items():
            generator = np.random.default_rng([seed, SPLITS.index(split)])
            (fresh / split).mkdir()
            strings = [_join(by_split[split], fresh / split / f"{i:05d}.flac", generator) for i in range(n)]
            if hold_out == "recordings":
                strings = [replace(string, speaker=None) for string in strings]
            write_manifest(fresh / f"{split}.jsonl", strings)

    return prepare_once(folder, parameters | sizes, write)


def _by_recording(source: Path, _seed: int) -> dict[str, Recordings]:
    return {split: _recordings(source, takes) for split, takes in TAKES.items()}


def _by_speaker(source: Path, seed: int) -> dict[str, Recordings]:
    everything = _recordings(source, ALL_TAKES)
    speakers = hold_out_speakers(everything, HELD_OUT_SPEAKERS, seed)
    return {split: {name: everything[name] for name in names} for split, names in speakers.items()}


HOLD_OUT: dict[str, Callable[[Path, int], dict[str, Recordings]]] = {
    "recordings": _by_recording,
    "speakers": _by_speaker,
}


def _recordings(source: Path, takes: range) -> Recordings:
    """The takes of every speaker and digit, in a fixed order."""
    found: dict[str, list[list[np.ndarray]]] = defaultdict(lambda: [[] for _ in WORDS])
    for path in sorted((source / "recordings").glob("*.wav")):
        match = RECORDING.fullmatch(path.stem)
        if match and int(match["take"]) in takes:
            found[match["speaker"]][int(match["digit"])].append(read_audio(path, SAMPLE_RATE_HZ))
    if not found or not all(all(digits) for digits in found.values()):
        raise ManifestError(
            f"{source} is not the Free Spoken Digit Dataset (recordings/0_name_0.wav to recordings/9_name_49.wav); "
            "fetch it from github.com/Jakobovski/free-spoken-digit-dataset"
        )
    return found


def _join(recordings: Recordings, path: Path, generator: np.random.Generator) -> Utterance:
    """One person's digit string, with a pause before, between and after the words, written to `path`."""
    speaker = sorted(recordings)[generator.integers(len(recordings))]
    digits = generator.integers(10, size=generator.integers(MIN_DIGITS, MAX_DIGITS + 1)).tolist()
    pieces = [_pause(generator)]
    for digit in digits:
        takes = recordings[speaker][digit]
        pieces += [takes[int(generator.integers(len(takes)))], _pause(generator)]
    samples = np.concatenate(pieces)
    samples += generator.normal(0.0, ROOM_NOISE, len(samples)).astype(np.float32)
    write_flac(path, samples, SAMPLE_RATE_HZ)
    return Utterance(path, len(samples) / SAMPLE_RATE_HZ, " ".join(WORDS[d] for d in digits), speaker, "en")


def _pause(generator: np.random.Generator) -> np.ndarray:
    return np.zeros(round(generator.uniform(MIN_PAUSE_S, MAX_PAUSE_S) * SAMPLE_RATE_HZ), dtype=np.float32)
