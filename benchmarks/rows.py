"""Rows of benchmarks: each is written as soon as it is measured, and read where it is there."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def kept(path: Path, make: Callable[[], Row]) -> Row:
    """The row in `path`, made now unless it is there."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(make(), indent=2))
        partial.replace(path)
    found: Row = json.loads(path.read_text())
    return found


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))
