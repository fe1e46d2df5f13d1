"""Rows of an audiofolder's metadata (`metadata.csv`, `metadata.jsonl`): one on each line, every line accounted for."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shrinkml.errors import ManifestError

Row = tuple[str, Mapping[str, Any]]  # file and line; column -> value


def read_metadata(folder: Path, problems: list[str]) -> list[Row]:
    """The rows of the metadata in `folder`; lines that are no rows are added to `problems`.

    Raises:
        ManifestError: no metadata, or not in UTF-8.
    """
    table, lines = folder / "metadata.csv", folder / "metadata.jsonl"
    if table.is_file():
        return list(_csv_rows(table, problems))
    if lines.is_file():
        return list(_json_rows(lines, problems))
    raise ManifestError(f"no metadata.jsonl or metadata.csv in {folder}; an audiofolder has one")


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(file and line, text) of every line that is not blank.

    Raises:
        ManifestError: not in UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # -sig: spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def _csv_rows(path: Path, problems: list[str]) -> Iterator[Row]:
    """A row of each line by itself: a quote that is not closed would swallow the rows behind it."""
    header: Sequence[str] | None = None
    for where, line in numbered_lines(path):
        try:
            (cells,) = csv.reader([line], strict=True)
        except csv.Error as error:
            problems.append(f"{where}: broken CSV ({error}); each row stands on one line, its quotes closed")
            if header is None:
                return
            continue
        if header is None:
            header = cells
            if len(set(header)) < len(header):
                problems.append(f"{where}: a column stands twice in the header {header}")
                return
        elif len(cells) != len(header):
            problems.append(f"{where}: columns found: {len(cells)}; the header's: {len(header)}: {cells}")
        else:
            yield where, {column: cell or None for column, cell in zip(header, cells, strict=True)}


def _json_rows(path: Path, problems: list[str]) -> Iterator[Row]:
    for where, line in numbered_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{where}: broken JSON: {error}")
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            problems.append(f"{where}: a row must be a JSON object, not {line.strip()[:40]!r}")
