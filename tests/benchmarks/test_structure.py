"""The structure of a checkout is counted from its sources alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "structure.py"

TOY = '''"""What a toy is."""
import logging
from typing import Any

log = logging.getLogger(__name__)


def first(model, rank: int) -> dict[str, Any]:
    """Whether isinstance(model, Las) holds at a rank."""
    log.info("ranks")
    return {} if isinstance(model, Las | Other) else dict[str, Any]()
'''


@pytest.fixture
def checkout(tmp_path):
    """One package with a crowded folder, one module of which has a test, and a name that is there twice."""
    for n in range(16):
        write(tmp_path / "shrinkml" / f"module_{n}.py", "rank_of_a_step = 1  # ranks\n" * n)
    write(tmp_path / "shrinkml" / "__init__.py", TOY)
    write(tmp_path / "server" / "module_3.py", "isinstance(weight, (Dense, Factors))\nx.rank = 3\n")
    write(tmp_path / "tests" / "anywhere" / "test_module_3.py", "")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_modules_folders_and_names_are_counted(bench, checkout):
    found = bench.structure_of(checkout)
    assert (found.modules, found.most_modules, found.crowded, found.twice) == (17, 16, {"shrinkml": 16}, ["module_3"])
    assert (found.longest, found.longest_lines, found.median_lines) == ("shrinkml/module_15.py", 15, 7)
    assert found.untested == 15, "both of module_3 have a test of their name"


def test_words_are_counted_in_code_and_not_in_text(bench, checkout):
    found = bench.structure_of(checkout)
    assert found.naming_ranks == 2, "an argument and an attribute; other names and comments do not count"
    assert (found.isinstance_forms, found.isinstance_families) == (1, 1)
    assert (found.loose_dictionaries, found.loose_mappings, found.asking, found.log_calls) == (2, 0, 2, 1)


@pytest.mark.parametrize(
    ("code", "n"), [("isinstance(x, Las)", 1), ("isinstance(x, (A, Las))", 1), ("issubclass(x, Las)", 0), ("Las(x)", 0)]
)
def test_only_isinstance_counts(bench, code, n):
    assert bench.is_instance_of(ast.parse(code), {"Las"}) == n


def test_two_checkouts_stand_side_by_side_and_the_counts_are_written(checkout, tmp_path):
    command = [sys.executable, SCRIPT, checkout, "--before", checkout, "--json", tmp_path / "counts.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "| modules | 17 | 17 |" in done.stdout
    assert "after: more than 15 modules in shrinkml (16); twice: module_3" in done.stdout
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["before"] == counts["after"]
    assert counts["after"]["crowded"] == {"shrinkml": 16}


def test_this_checkout_can_be_counted(bench):
    assert bench.structure_of(SCRIPT.parents[1]).modules > 100


def test_a_folder_without_the_packages_is_refused(bench, tmp_path):
    with pytest.raises(SystemExit, match="holds none of shrinkml, envs, agents, server; name the folder"):
        bench.structure_of(tmp_path)
