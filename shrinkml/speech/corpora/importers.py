"""Manifests from other layouts of transcribed speech: Kaldi directories and Hugging Face audiofolders."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from shrinkml.errors import AudioError, ManifestError
from shrinkml.speech.audio import audio_duration_s
from shrinkml.speech.manifest import Utterance, refuse, write_manifest

TEXT_COLUMNS = ("transcription", "text", "sentence")
SPEAKER_COLUMNS = ("speaker_id", "speaker")


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
    return _write(manifest, ((folder / path, texts[utt], speakers.get(utt)) for utt, path in audio.items()))


def import_audiofolder(folder: Path, manifest: Path) -> list[Utterance]:
    """The utterances of a Hugging Face audiofolder, once they are written to `manifest`.

    Reads `metadata.jsonl` or `metadata.csv`: `file_name` relative to `folder`, the text as `transcription`, `text` or
    `sentence`, and a `speaker_id` or `speaker` where there is one. Other columns are left out.

    Raises:
        ManifestError: no metadata, rows without a file name or text, missing files: every problem at once.
    """
    problems: list[str] = []
    found = []
    for where, row in _read_metadata(folder, problems):
        name, text = row.get("file_name"), _first(row, TEXT_COLUMNS)
        if not name or text is None:
            problems.append(f"{where}: a row needs file_name and one of {', '.join(TEXT_COLUMNS)}; this one is {row}")
        else:
            found.append((folder / str(name), text, _first(row, SPEAKER_COLUMNS)))
    refuse(problems)
    return _write(manifest, found)


IMPORTERS: dict[str, Callable[[Path, Path], list[Utterance]]] = {
    "kaldi": import_kaldi,
    "audiofolder": import_audiofolder,
}


def _write(manifest: Path, found: Iterable[tuple[Path, str, str | None]]) -> list[Utterance]:
    utterances, problems = [], []
    for audio, text, speaker in found:
        try:
            utterances.append(Utterance(audio, audio_duration_s(audio), text, speaker))
        except AudioError as error:
            problems.append(str(error))
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
    for where, line in _numbered_lines(path):
        utt, *rest = line.split(maxsplit=1)
        if not rest:
            problems.append(f"{where}: nothing after {utt!r}")
        elif utt in table:
            problems.append(f"{where}: a second line for {utt!r}")
        else:
            table[utt] = rest[0].strip()
    return table


def _read_metadata(folder: Path, problems: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """(file and line, row) of the folder's metadata; lines that are no rows are added to `problems`."""
    lines, table = folder / "metadata.jsonl", folder / "metadata.csv"
    if table.is_file():
        reader = csv.DictReader(io.StringIO(_read_text(table), newline=""))
        return [(f"{table}:{reader.line_num}", row) for row in reader]
    if not lines.is_file():
        raise ManifestError(f"no metadata.jsonl or metadata.csv in {folder}; an audiofolder has one")
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for where, line in _numbered_lines(lines):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            problems.append(f"{where}: broken JSON: {error}")
            continue
        rows.append((where, row if isinstance(row, dict) else {}))
    return rows


def _numbered_lines(path: Path) -> Iterable[tuple[str, str]]:
    """(file and line, text) of every line that is not blank."""
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # -sig: spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8: {error}") from error


def _first(row: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """The first of `columns` that the row fills."""
    return next((str(row[column]) for column in columns if row.get(column)), None)
