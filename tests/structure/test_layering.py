"""The four packages import only to their left, in whatever way, and the light modules stay light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.structure.sources import LAYERS, ROOT, imported_modules, sources, strings, tree_of

HEAVY = {"torch", "transformers", "stable_baselines3", "sb3_contrib", "ray"}
DYNAMIC = {"import_module", "__import__", "run_module"}
LIGHT = (
    "shrinkml",
    "shrinkml.client",
    "shrinkml.plan.model_cost",
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
)
RAY_FOLDER = "agents/execution/ray/"
DOORS = {("shrinkml/__init__.py", "agents.pipeline.compress_module")}  # users look for it there; opened when asked for


def named_modules(tree: ast.Module) -> Iterator[str]:
    """Modules of ours that a string names: for `import_module`, for `python -m`, as a constant, or within a program."""
    pattern = re.compile(rf"\b(?:{'|'.join(LAYERS)})(?:\.\w+)+")
    for text in strings(tree):
        for name in pattern.findall(text):
            path = ROOT.joinpath(*name.split("."))
            if path.with_suffix(".py").is_file() or path.is_dir():
                yield name


def dynamic_imports(tree: ast.Module) -> list[str | None]:
    """The module of every call that imports by name; None where it is no literal."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    by_name = [call for call in calls if _called(call) in DYNAMIC]
    return [_literal(call.args[0]) if call.args else None for call in by_name]


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def top(module: str) -> str:
    return module.partition(".")[0]


EXAMPLE = '''
"""A docstring may point to agents.search.search."""
import envs.problem as p
from importlib import import_module

def f():
    from agents.search.search_result import Trial
    import_module("agents.pipeline")
    import_module(f"agents.{p}")
    return [sys.executable, "-m", "server.cli.main"], "import envs.budget", "server.nowhere"
'''


def test_imports_are_found_wherever_they_stand():
    tree = ast.parse(EXAMPLE)
    assert list(imported_modules(tree)) == ["envs.problem", "importlib", "agents.search.search_result"]
    assert sorted(named_modules(tree)) == ["agents.pipeline", "envs.budget", "server.cli.main"]
    assert dynamic_imports(tree) == ["agents.pipeline", None]


@pytest.mark.parametrize("path", sources())
def test_a_module_reaches_only_its_own_layer_and_those_below(path):
    above = LAYERS[LAYERS.index(path.split("/")[0]) + 1 :]
    reached = {*imported_modules(tree_of(path)), *named_modules(tree_of(path)), *dynamic_imports(tree_of(path))}
    assert {module for module in reached if module and top(module) in above} == {m for p, m in DOORS if p == path}


def test_a_dynamic_import_says_which_module():
    assert [path for path in sources() if None in dynamic_imports(tree_of(path))] == []


def test_ray_is_imported_in_one_folder_only():
    found = {path: {*imported_modules(tree_of(path)), *dynamic_imports(tree_of(path))} for path in sources()}
    importers = [path for path, reached in found.items() if "ray" in {top(module) for module in reached if module}]
    assert [path for path in importers if not path.startswith(RAY_FOLDER)] == []
    assert importers


def test_importing_light_modules_loads_nothing_heavy():
    program = "import sys\nfor module in sys.argv[1:]: __import__(module); print(module, *sys.modules)"
    run = subprocess.run([sys.executable, "-c", program, *LIGHT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    loaded = {module: HEAVY & {*others} for module, *others in map(str.split, run.stdout.splitlines())}
    assert loaded == {module: set() for module in LIGHT}


def test_the_one_door_to_the_right_opens_when_it_is_asked_for():
    program = "import sys, shrinkml; print({'torch', 'agents'} & set(sys.modules)); print(shrinkml.compress.__module__)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["set()", "agents.pipeline.compress_module"]
