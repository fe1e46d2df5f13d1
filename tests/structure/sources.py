"""The source files of the four packages, parsed, for the tests that read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("shrinkml", "envs", "agents", "server")


@cache
def sources() -> tuple[str, ...]:
    """Every Python file of the four packages, relative to the repository: "envs/budget.py"."""
    found = (path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


def modules() -> list[str]:
    """The sources that are modules of their own: all but `__init__.py`."""
    return [path for path in sources() if Path(path).name != "__init__.py"]


@cache
def tree_of(path: str) -> ast.Module:
    """The syntax tree of the source `path`."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def documented_nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every module, class and function of `tree` that has a docstring, with it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield node, text


def strings(tree: ast.Module) -> list[str]:
    """The string literals of `tree` that are no docstrings."""
    spoken = {id(node.body[0].value) for node, _ in documented_nodes(tree)}  # type: ignore[attr-defined]
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in spoken)
    return [node.value for node in found if isinstance(node.value, str)]


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Modules imported anywhere in `tree`; relative imports cannot leave their layer (a lint rule)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)


def names(tree: ast.Module) -> set[str]:
    """The identifiers that `tree` uses: variables, attributes, and what it imports, by its own name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found
