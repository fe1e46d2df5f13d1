"""The edge between a report's record and report.json, of this version and of older ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shrinkml.errors import ConfigError
from shrinkml.extras import needs
from shrinkml.report.record import Report

if TYPE_CHECKING:  # the core, which writes figures like a report's, does without it
    from pydantic import TypeAdapter

OLD_NAMES = {"stages": "steps", "stage": "step"}  # of keys, until a ratio on the way was called a step


def to_json(report: Report) -> dict[str, Any]:
    """The fields of `report` as plain JSON values.

    Raises:
        ValueError: a value that JSON cannot hold, such as NaN.
    """
    value: dict[str, Any] = json.loads(json.dumps(asdict(report), allow_nan=False))
    return value


def from_json(value: Mapping[str, Any]) -> Report:
    """The report that `to_json` of this or an older version wrote; unknown keys are left aside.

    Raises:
        ConfigError: a field is missing or of another type; the message names it.
        MissingPackageError: pydantic is not installed.
    """
    with needs("reading a report"):
        from pydantic import ValidationError

    found = _in_new_names(value)
    for key in ("steps", "trials"):
        if isinstance(rows := found.get(key), list):
            found[key] = [_in_new_names(row) if isinstance(row, dict) else row for row in rows]
    try:
        return _adapter().validate_python(found)
    except ValidationError as error:
        first, *others = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        more = f" (and {len(others)} more)" if others else ""
        raise ConfigError(
            f"this is no report of ShrinkML: {first}{more}; allowed: the fields of shrinkml.report.record.Report"
        ) from error


def read_report(path: Path) -> Report:
    """The report in the file `path`, a report.json.

    Raises:
        ConfigError: there is none, or it holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no report in {path.parent}; a run writes report.json when it has ended") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no valid JSON: {error}; allowed: the report.json of a run") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds a {type(value).__name__}; allowed: the report.json of a run")
    return from_json(value)


def _in_new_names(value: Mapping[str, Any]) -> dict[str, Any]:
    return {OLD_NAMES.get(key, key): item for key, item in value.items()}


@cache
def _adapter() -> "TypeAdapter[Report]":
    from pydantic import TypeAdapter

    return TypeAdapter(Report)
