"""One transcribed recording, and the JSON line that stands for it in a manifest."""

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shrinkml.errors import AudioError
from shrinkml.speech.audio import audio_duration_s
from shrinkml.speech.text import normalise

REQUIRED = ("audio_filepath", "duration", "text")
OPTIONAL = ("speaker", "lang")
ELSEWHERE = {  # keys of NeMo's manifests that change what is heard
    "offset": "Recordings are heard whole: cut the audio first (ffmpeg -ss OFFSET -t DURATION -i whole.wav part.wav)"
}
_PATH = re.compile("[^\0\ud800-\udfff]+")  # neither NUL nor half a character, which no file's name can hold
_HALF = re.compile("[\ud800-\udfff]")  # half a character: JSON can hold one, UTF-8 cannot
# A stated duration may differ from the file's by the larger of the two: tools round to a tenth of a second, and count
# or drop the padding of an MP3 encoder, up to two frames of 1,152 samples (0.144 s at 16 kHz).
DURATION_TOLERANCE_S = 0.15
DURATION_TOLERANCE = 0.01
MOST_S = 1e9  # of a recording: 30 years
MOST_SHOWN = 60  # characters of a wrong value
MOST_UNKNOWN = 5  # keys of a line that are told


@dataclass(frozen=True, slots=True)
class Utterance:
    """One transcribed recording.

    Attributes:
        audio: the file.
        duration_s: of the audio.
        text: what is said; "" where nobody has written it down.
        speaker: who says it, where known.
        lang: the language's code, where known.
    """

    audio: Path
    duration_s: float
    text: str
    speaker: str | None = None
    lang: str | None = None

    def to_line(self, base: Path) -> str:
        """The manifest line of this utterance, its audio file relative to the absolute folder `base`."""
        value: dict[str, str | float] = {
            "audio_filepath": Path(os.path.relpath(self.audio.resolve(), base)).as_posix(),
            "duration": self.duration_s,
            "text": self.text,
        }
        optional = {"speaker": self.speaker, "lang": self.lang}
        value |= {key: text for key, text in optional.items() if text is not None}
        return json.dumps(value, ensure_ascii=False)


def parse_line(
    line: str, base: Path, *, admit: Callable[[Path], None] | None = None, needs_text: bool = True
) -> tuple[Utterance | None, list[str]]:
    """The utterance of a manifest line, or None and everything that is wrong with it.

    Args:
        line: a JSON object.
        base: folder that a relative `audio_filepath` starts from.
        admit: called with the audio file before anything is looked up there; what it raises is passed on.
        needs_text: False where recordings without a transcript will do.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # also for numbers of thousands of digits, and thousands of brackets
        return None, [f"broken JSON: {error}"]
    if not isinstance(value, dict):
        return None, [f"a line must be a JSON object, not {line.strip()[:40]!r}"]
    problems = [*_key_problems(value, needs_text=needs_text), *value_problems(value)]
    if problems:
        return None, problems
    audio = Path(os.path.normpath(base / value["audio_filepath"]))
    if admit is not None:
        admit(audio)
    problems += _audio_problems(audio, value["duration"])
    if problems:
        return None, problems
    return Utterance(
        audio, float(value["duration"]), value.get("text", ""), value.get("speaker"), value.get("lang")
    ), []


def _key_problems(value: Mapping[str, Any], *, needs_text: bool) -> Iterator[str]:
    known = REQUIRED + OPTIONAL
    for key in [key for key in value if key not in known][:MOST_UNKNOWN]:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        hint = f" {ELSEWHERE[key]}" if key in ELSEWHERE else hint
        yield f"unknown key {_short(key)}; known: {', '.join(known)}.{hint}"
    for key in REQUIRED:
        if key not in value and (needs_text or key != "text"):
            yield f"no {key!r}; every line needs {', '.join(REQUIRED)}"


def value_problems(value: Mapping[str, Any]) -> Iterator[str]:
    """Everything that is wrong with the values of a manifest's line, or of a part of one; no file is looked at."""
    for key in ("audio_filepath", "text", *OPTIONAL):
        if key in value and not (isinstance(value[key], str) and value[key].strip()):
            yield f"{key} is {_short(value[key])}; allowed: a string that is not blank"
    for key in ("text", *OPTIONAL):
        if isinstance(value.get(key), str) and _HALF.search(value[key]):
            half = "which holds half a character (a lone surrogate); allowed: whole characters"
            yield f"{key} is {_short(value[key])}, {half}"
    text = value.get("text")
    if isinstance(text, str) and text.strip() and not normalise(text):
        yield f"text is {_short(text)}; allowed: at least one word"
    audio = value.get("audio_filepath")
    if isinstance(audio, str) and audio.strip() and not _PATH.fullmatch(audio):
        yield f"audio_filepath is {_short(audio)}; allowed: a path of whole characters without NUL"
    duration = value.get("duration", 1.0)
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration <= MOST_S:
        yield f"duration is {_short(duration)}; allowed: a number of seconds above 0"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}..."


def _audio_problems(audio: Path, stated_s: float) -> Iterator[str]:
    try:
        duration_s = audio_duration_s(audio)
    except AudioError as error:
        yield str(error)
        return
    if abs(duration_s - stated_s) > max(DURATION_TOLERANCE_S, DURATION_TOLERANCE * duration_s):
        yield f"duration is {stated_s} s, but {audio} lasts {duration_s:.2f} s"
