"""The four packages import only to their left, and the light modules stay light."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("shrinkml", "envs", "agents", "server")
HEAVY = {"torch", "transformers", "stable_baselines3", "sb3_contrib", "ray"}


def sources() -> list[Path]:
    return sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported_packages(source: str) -> Iterator[str]:
    """Top-level packages imported anywhere in `source`; relative imports cannot leave their layer (a lint rule)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


def test_imports_are_found_wherever_they_stand():
    source = (
        "import envs.problem as p\ndef f():\n    from agents.search.search_result import Trial\nfrom . import sibling"
    )
    assert list(imported_packages(source)) == ["envs", "agents"]


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_layer_and_those_below(source):
    layer = source.relative_to(ROOT).parts[0]
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    assert not above & set(imported_packages(source.read_text()))


def test_every_package_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = set(project["tool"]["setuptools"]["packages"])
    assert shipped == {".".join(path.parent.relative_to(ROOT).parts) for path in sources()}


def test_ray_is_imported_in_one_file_only():
    importers = [path for path in sources() if "ray" in imported_packages(path.read_text())]
    assert importers == [ROOT / "agents" / "execution" / "ray" / "ray_executor.py"]


@pytest.mark.parametrize(
    "module",
    [
        "shrinkml",
        "shrinkml.client",
        "shrinkml.plan.cost",
        "shrinkml.plan.compression_plan",
        "shrinkml.measure.evaluation",
        "shrinkml.export.recogniser",
        "shrinkml.events",
        "shrinkml.storage.model_folder",
        "shrinkml.job",
        "shrinkml.report",
        "shrinkml.speech.audio",
        "shrinkml.measure.timed_process",
        "envs",
        "server.http.app",
        "server.cli.main",
    ],
)
def test_importing_a_light_module_loads_nothing_heavy(module):
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert not HEAVY & set(run.stdout.split())


def test_the_one_door_to_the_right_opens_when_it_is_asked_for():
    program = "import sys, shrinkml; print({'torch', 'agents'} & set(sys.modules)); print(shrinkml.compress.__module__)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["set()", "agents.pipeline.compress_module"]
