"""The tests of a module lie where it lies, by its name."""

from pathlib import Path

from tests.structure.known import UNTESTED
from tests.structure.sources import ROOT, modules

# Tests of more than one module; the server's as processes of their own lie in tests/server/live.
WHOLES = {
    "agents/pipeline/test_huggingface_job.py",
    "agents/pipeline/test_transducer_job.py",
    "shrinkml/test_reference.py",
    "shrinkml/models/huggingface/test_published_sizes.py",
}
FOLDERS_OF_WHOLES = ("structure/", "docs/", "server/live/")


def place_of_tests(path: str) -> Path:
    """Where the tests of the module `path` lie."""
    module = ROOT / "tests" / path
    return module.with_name(f"test_{module.name}")


def module_of(path: str) -> Path:
    """The module that the tests in `path`, relative to tests/, are about."""
    tests = ROOT / path
    return tests.with_name(tests.name.removeprefix("test_"))


def test_every_module_has_tests_by_its_name():
    assert {path for path in modules() if not place_of_tests(path).is_file()} == UNTESTED


def test_all_other_tests_are_of_more_than_one_module():
    tests = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    alone = {path for path in tests if not module_of(path).is_file() and not path.startswith(FOLDERS_OF_WHOLES)}
    assert alone == WHOLES
