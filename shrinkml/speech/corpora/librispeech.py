"""The `librispeech` task: read English, used where it lies, split by speaker.

References:
    Panayotov et al. 2015, LibriSpeech: an ASR corpus based on public domain audio books, ICASSP (CC BY 4.0).
"""

from collections.abc import Iterator
from pathlib import Path

from shrinkml.errors import ManifestError
from shrinkml.speech.audio import audio_duration_s
from shrinkml.speech.corpora.prepared import prepare_once
from shrinkml.speech.manifest import Utterance, write_manifest
from shrinkml.speech.speakers import hold_out_speakers

LEFT_OUT = "left_out.jsonl"  # manifest of the utterances that are too long, where there is a limit
SUFFIXES = (".flac", ".wav")  # the corpus itself is FLAC; smaller copies of it go by .wav


def prepare(
    folder: Path,
    source: Path,
    *,
    longest_s: float | None = None,
    seed: int = 0,
    dev_speakers: int = 2,
    test_speakers: int = 3,
) -> dict[str, Path]:
    """Split -> manifest in `folder` of the LibriSpeech utterances under `source`, whose audio stays where it is.

    Args:
        folder: where the manifests go.
        source: a LibriSpeech folder or a part of one: `*.trans.txt` files with their audio beside them.
        longest_s: longer utterances are left out, and stand in LEFT_OUT; None: none are.
        seed: of who goes into which split.
        dev_speakers: speakers held out for dev.
        test_speakers: speakers held out for test; all others are for train.

    Raises:
        ManifestError: no transcripts under `source`, too few speakers, or `folder` holds something else.
        AudioError: an audio file that cannot be read.
    """
    parameters = {"task": "librispeech", "version": 1, "source": str(source.resolve()), "seed": seed}
    held_out = {"dev": dev_speakers, "test": test_speakers}
    limit = {} if longest_s is None else {"longest_s": longest_s}

    def write(fresh: Path) -> None:
        utterances = list(_utterances(source))
        if longest_s is not None:
            write_manifest(fresh / LEFT_OUT, [u for u in utterances if u.duration_s > longest_s])
            utterances = [u for u in utterances if u.duration_s <= longest_s]
        speakers = hold_out_speakers((u.speaker for u in utterances if u.speaker), held_out, seed)
        for split, names in speakers.items():
            write_manifest(fresh / f"{split}.jsonl", [u for u in utterances if u.speaker in names])

    return prepare_once(folder, parameters | held_out | limit, write)


def _utterances(source: Path) -> Iterator[Utterance]:
    """Every utterance under `source`, in the order of its name."""
    transcripts = sorted(source.rglob("*.trans.txt"))
    if not transcripts:
        raise ManifestError(
            f"no LibriSpeech transcripts (*.trans.txt) under {source}; fetch dev-clean.tar.gz from openslr.org/12"
        )
    for path in transcripts:
        for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
            name, _, text = line.partition(" ")
            audio = _audio(path.parent, name)
            yield Utterance(audio, audio_duration_s(audio), text.lower(), name.partition("-")[0], "en")


def _audio(folder: Path, name: str) -> Path:
    """The audio file of utterance `name`; one that is missing is refused when it is opened."""
    candidates = [folder / (name + suffix) for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])
