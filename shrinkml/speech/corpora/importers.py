"""Manifests from other layouts of transcribed speech: Kaldi directories and Hugging Face audiofolders."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shrinkml.errors import AudioError
from shrinkml.speech.audio import audio_duration_s
from shrinkml.speech.corpora.metadata_rows import numbered_lines, read_metadata
from shrinkml.speech.manifest import Utterance, refuse, write_manifest
from shrinkml.speech.utterance import value_problems

TEXT_COLUMNS = ("transcription", "text", "sentence")
SPEAKER_COLUMNS = ("speaker_id", "speaker")


@dataclass(frozen=True, slots=True)
class _Found:
    """An utterance as a layout tells it.

    Attributes:
        where: file and line, or file and name, for messages.
        folder: that the path starts from.
        path: of the audio.
        text: that is said.
        speaker: who says it; None where unknown.
    """

    where: str
    folder: Path
    path: Any
    text: Any
    speaker: Any = None

    def problems(self) -> list[str]:
        """Everything that is wrong with the values."""
        values = {"audio_filepath": self.path, "text": self.text, "speaker": self.speaker}
        told = {key: value for key, value in values.items() if key != "speaker" or value is not None}
        return [f"{self.where}: {problem}" for problem in value_problems(told)]


def import_kaldi(folder: Path, manifest: Path) -> list[Utterance]:
    """The utterances of a Kaldi data directory, once they are written to `manifest`.

    Reads `wav.scp`, `text` and, where there is one, `utt2spk`. Relative audio paths are taken from `folder`. Commands
    in wav.scp (a line that ends in a pipe) are never run.

    Raises:
        ManifestError: every problem at once: pipes, `segments`, missing files, utterances without audio or text.
    """
    problems: list[str] = []
    audio = _read_table(folder / "wav.scp", problems)
    texts = _read_table(folder / "text", problems)
    speakers = _read_table(folder / "utt2spk", problems) if (folder / "utt2spk").exists() else {}
    if (folder / "segments").exists():
        problems.append(f"{folder / 'segments'}: parts of recordings are not supported; cut them into files first")
    piped = [utt for utt, value in audio.items() if value.endswith("|")]
    problems += [f"{folder / 'wav.scp'}: {utt!r} is a command; write its output to a file first" for utt in piped]
    problems += [f"{folder / 'text'}: no text for {utt!r}" for utt in audio if utt not in texts]
    problems += [f"{folder / 'wav.scp'}: no audio for {utt!r}" for utt in texts if utt not in audio]
    refuse(problems)
    text = folder / "text"
    found = [_Found(f"{text}: {utt!r}", folder, path, texts[utt], speakers.get(utt)) for utt, path in audio.items()]
    return _write(manifest, found, [])


def import_audiofolder(folder: Path, manifest: Path) -> list[Utterance]:
    """The utterances of a Hugging Face audiofolder, once they are written to `manifest`.

    Reads `metadata.jsonl` or `metadata.csv`: `file_name` relative to `folder`, the text as `transcription`, `text` or
    `sentence`, and a `speaker_id` or `speaker` where there is one. Other columns are left out.

    Raises:
        ManifestError: no metadata, lines that are no rows, rows without a file name or text or with other values than
            strings (a speaker may be a whole number), missing files: every problem at once.
    """
    problems: list[str] = []
    found = []
    for where, row in read_metadata(folder, problems):
        name, text, speaker = (_first(row, columns) for columns in (("file_name",), TEXT_COLUMNS, SPEAKER_COLUMNS))
        if name is None or text is None:
            problems.append(f"{where}: a row needs file_name and one of {', '.join(TEXT_COLUMNS)}; this one is {row}")
        else:
            numbered = isinstance(speaker, int) and not isinstance(speaker, bool)
            found.append(_Found(where, folder, name, text, str(speaker) if numbered else speaker))
    return _write(manifest, found, problems)


IMPORTERS: dict[str, Callable[[Path, Path], list[Utterance]]] = {
    "kaldi": import_kaldi,
    "audiofolder": import_audiofolder,
}


def _write(manifest: Path, found: Iterable[_Found], problems: Sequence[str]) -> list[Utterance]:
    """Write what was `found` to `manifest`, unless there are `problems` with it, with its values or with its audio."""
    found = list(found)
    problems = [*problems, *(problem for one in found for problem in one.problems())]
    refuse(problems)
    utterances = []
    for one in found:
        audio = one.folder / one.path
        try:
            utterances.append(Utterance(audio, audio_duration_s(audio), one.text, one.speaker))
        except AudioError as error:
            problems.append(f"{one.where}: {error}")
    if not utterances and not problems:
        problems.append(f"{manifest} would hold no utterances")
    refuse(problems)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, utterances)
    return utterances


def _read_table(path: Path, problems: list[str]) -> dict[str, str]:
    """Utterance id -> rest of the line, of a Kaldi table; what is wrong with it is added to `problems`."""
    if not path.is_file():
        problems.append(f"no file {path}; a Kaldi directory holds wav.scp and text")
        return {}
    table: dict[str, str] = {}
    for where, line in numbered_lines(path):
        utt, *rest = line.split(maxsplit=1)
        if not rest:
            problems.append(f"{where}: nothing after {utt!r}")
        elif utt in table:
            problems.append(f"{where}: a second line for {utt!r}")
        else:
            table[utt] = rest[0].strip()
    return table


def _first(row: Mapping[str, Any], columns: Iterable[str]) -> Any:
    """The first of `columns` that the row fills; None where it fills none."""
    return next((row[column] for column in columns if row.get(column) not in (None, "")), None)
