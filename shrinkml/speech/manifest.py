"""Transcribed speech as NeMo-style JSON lines: `audio_filepath`, `duration`, `text`, optional `speaker` and `lang`."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Utterance:
    """One transcribed recording.

    Attributes:
        audio: the file, as an absolute path or relative to the working directory.
        duration_s: of the audio.
        text: what is said.
        speaker: who says it, where known.
        lang: the language's code, where known.
    """

    audio: Path
    duration_s: float
    text: str
    speaker: str | None = None
    lang: str | None = None


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write `utterances` to `path`, their audio files relative to its folder."""
    base = path.parent.resolve()
    with path.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            file.write(json.dumps(_to_json(utterance, base), ensure_ascii=False) + "\n")


def read_manifest(path: Path) -> list[Utterance]:
    """The utterances in the manifest at `path`."""
    base = path.parent.resolve()
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        Utterance(base / r["audio_filepath"], r["duration"], r["text"], r.get("speaker"), r.get("lang")) for r in rows
    ]


def _to_json(utterance: Utterance, base: Path) -> dict[str, str | float]:
    value: dict[str, str | float] = {
        "audio_filepath": Path(os.path.relpath(utterance.audio.resolve(), base)).as_posix(),
        "duration": utterance.duration_s,
        "text": utterance.text,
    }
    optional = {"speaker": utterance.speaker, "lang": utterance.lang}
    return value | {key: text for key, text in optional.items() if text is not None}
