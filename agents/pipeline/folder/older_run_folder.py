"""Folders of jobs that were begun when stages had numbers and steps were called stages: renamed as they are now.

stages/04-search-2.24x   becomes stages/search-2.24x; of several of one ratio, the later ones get -2 and so on
checkpoints/stage-2.24x  becomes checkpoints/step-2.24x, also where result.json, workspace.json or report.json name it
"""

import re
from collections import Counter
from pathlib import Path

NUMBERED = re.compile(r"(?P<number>\d\d+)-(?P<name>[a-z]+(-[0-9.e+]+x)?)(?P<partial>\.partial)?")
OLD_CHECKPOINT = re.compile(r'(?<=["/])stage-(?=[0-9][0-9.e+]*x)')
NAMED_IN = ("stages/*/workspace.json", "stages/speed*/result.json", "report.json")


def renew(root: Path) -> None:
    """Rename what lies in the folder `root` of a job as this version names it; does nothing to a present one.

    May be interrupted and called again.
    """
    numbered = [found for path in (root / "stages").glob("*") if (found := NUMBERED.fullmatch(path.name))]
    if not numbered:
        return
    for pattern in NAMED_IN:
        for path in root.glob(pattern):
            path.write_text(OLD_CHECKPOINT.sub("step-", path.read_text()))
    for path in sorted((root / "checkpoints").glob("stage-*x*")):
        path.rename(path.with_name(path.name.replace("stage-", "step-", 1)))
    _drop_numbers(root / "stages", sorted(numbered, key=lambda found: int(found["number"])))


def _drop_numbers(stages: Path, numbered: list[re.Match[str]]) -> None:
    """Rename the stages from the last to the first: as long as one is left, those before it are counted right."""
    seen: Counter[str] = Counter()
    renamed: list[tuple[str, str]] = []
    for found in numbered:
        name = found["name"]
        seen[name] += 1
        again = "" if seen[name] == 1 else f"-{seen[name]}"
        renamed.append((found.string, f"{name}{again}{found['partial'] or ''}"))
    for before, after in reversed(renamed):
        (stages / before).rename(stages / after)
