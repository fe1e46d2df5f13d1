"""Manifests from other layouts of transcribed speech: Kaldi directories and Hugging Face audiofolders."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

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
    problems += [f"{folder / 'wav.scp'}: {utt!r} is a command ({value!r}); convert it to a file first"
                 for utt, value in audio.items() if value.endswith("|")]  # fmt: skip
    problems += [f"{folder / 'text'}: no text for {utt!r}" for utt in audio.keys() - texts.keys()]
    problems += [f"{folder / 'wav.scp'}: no audio for {utt!r}" for utt in texts.keys() - audio.keys()]
    refuse(sorted(problems))
    return _write(manifest, ((folder / audio[utt], texts[utt], speakers.get(utt)) for utt in sorted(audio)))


def import_audiofolder(folder: Path, manifest: Path) -> list[Utterance]:
    """The utterances of a Hugging Face audiofolder, once they are written to `manifest`.

    Reads `metadata.jsonl` or `metadata.csv`: `file_name` relative to `folder`, the text as `transcription`, `text` or
    `sentence`, and a `speaker_id` or `speaker` where there is one. Other columns are left out.

    Raises:
        ManifestError: no metadata, rows without a file name or text, missing files: every problem at once.
    """
    metadata, rows = _read_metadata(folder)
    problems: list[str] = []
    found = []
    for number, row in enumerate(rows, start=1):
        text = _first(row, TEXT_COLUMNS)
        if not row.get("file_name") or text is None:
            problems.append(
                f"{metadata}: row {number} needs file_name and one of {', '.join(TEXT_COLUMNS)}; it has {row}"
            )
        else:
            found.append((folder / row["file_name"], text, _first(row, SPEAKER_COLUMNS)))
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
    """Utterance id -> rest of the line, of a Kaldi table."""
    if not path.is_file():
        problems.append(f"no file {path}; a Kaldi directory holds wav.scp and text")
        return {}
    table: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        utt, _, value = line.strip().partition(" ")
        if not value.strip() or utt in table:
            problems.append(f"{path}:{number}: {'second line for' if utt in table else 'nothing after'} {utt!r}")
        else:
            table[utt] = value.strip()
    return table


def _read_metadata(folder: Path) -> tuple[Path, list[dict[str, str]]]:
    lines, table = folder / "metadata.jsonl", folder / "metadata.csv"
    if lines.is_file():
        try:
            return lines, [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise ManifestError(f"{lines}: broken JSON: {error}") from error
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            return table, list(csv.DictReader(file))
    raise ManifestError(f"no metadata.jsonl or metadata.csv in {folder}; an audiofolder has one")


def _first(row: dict[str, str], columns: Iterable[str]) -> str | None:
    """The first of `columns` that the row fills."""
    return next((str(row[column]) for column in columns if row.get(column)), None)
