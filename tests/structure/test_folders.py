"""A folder is a room with a name: a handful of modules, none of which is named like another one elsewhere."""

from collections import Counter
from pathlib import Path

from tests.structure.known import CROWDED, TWICE
from tests.structure.sources import ROOT, modules, sources

MOST_MODULES = 15


def test_no_folder_holds_more_than_fifteen_modules():
    counts = Counter(Path(path).parent.as_posix() for path in modules())
    assert {folder for folder, n in counts.items() if n > MOST_MODULES} == CROWDED


def test_no_two_modules_have_the_same_name():
    counts = Counter(Path(path).stem for path in modules())
    assert {name for name, n in counts.items() if n > 1} == TWICE


def test_every_folder_with_sources_is_a_package():
    folders = {Path(path).parent for path in sources()}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []
