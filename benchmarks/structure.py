"""Count what the structure of a checkout is like: folders, words, forms, families, dictionaries, lengths, tests, logs.

    python benchmarks/structure.py
    python benchmarks/structure.py . --before ../older-checkout --json structure.json

Nothing is imported from a checkout: its sources are parsed, so that versions of any layout can be counted. Tests of
modules are found by name, wherever they lie.
"""

import argparse
import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

PACKAGES = ("shrinkml", "envs", "agents", "server")
MOST_MODULES = 15
QUESTION = re.compile(r"(What|Whether|How|Which|Where|Who|When|Why)\b")
RANKS = {"rank", "ranks"}
FORMS = {"Dense", "Factors", "IdentityBlock", "LowRank", "Quantized", "Sparse"}
FAMILIES = {"HuggingFaceCtc", "HuggingFaceModel", "HuggingFaceSeq2Seq", "Las", "Transducer", "Transformer"}
LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "logger", "_log", "_logger"}


@dataclass(frozen=True, slots=True)
class Structure:
    """Counts of one checkout; lists and pairs are of its four packages.

    Attributes:
        modules: source files but `__init__.py`.
        most_modules: in one folder.
        crowded: folders of more than fifteen modules, with how many.
        twice: names of more than one module.
        naming_ranks: files whose code has an identifier `rank` or `ranks`.
        isinstance_forms: `isinstance` on a form of a weight.
        isinstance_families: `isinstance` on a family of models.
        loose_dictionaries: `dict[str, Any]`, in annotations and casts.
        loose_mappings: `Mapping[str, Any]`, likewise.
        median_lines: of a module.
        longest_lines: of the longest module.
        longest: that module.
        asking: docstrings that open with a question.
        untested: modules without a test file of their name.
        log_calls: calls of a logger.
    """

    modules: int
    most_modules: int
    crowded: dict[str, int]
    twice: list[str]
    naming_ranks: int
    isinstance_forms: int
    isinstance_families: int
    loose_dictionaries: int
    loose_mappings: int
    median_lines: float
    longest_lines: int
    longest: str
    asking: int
    untested: int
    log_calls: int


LABELS = {
    "modules": "modules",
    "most_modules": "modules in the largest folder",
    "crowded": f"folders of more than {MOST_MODULES} modules",
    "twice": "names of more than one module",
    "naming_ranks": "files that name ranks",
    "isinstance_forms": "isinstance on a form of a weight",
    "isinstance_families": "isinstance on a family of models",
    "loose_dictionaries": "dict[str, Any]",
    "loose_mappings": "Mapping[str, Any]",
    "median_lines": "median lines of a module",
    "longest_lines": "lines of the longest module",
    "longest": "the longest module",
    "asking": "docstrings that open with a question",
    "untested": "modules without a test of their name",
    "log_calls": "log calls",
}


def structure_of(checkout: Path) -> Structure:
    """Count the four packages in the folder `checkout`.

    Raises:
        SystemExit: it holds none of them.
    """
    paths = sorted(path for package in PACKAGES for path in (checkout / package).rglob("*.py"))
    if not paths:
        raise SystemExit(f"{checkout} holds none of {', '.join(PACKAGES)}; name the folder of a checkout")
    texts = {path.relative_to(checkout): path.read_text(encoding="utf-8") for path in paths}
    trees = [ast.parse(text) for text in texts.values()]
    modules = [path for path in texts if path.name != "__init__.py"]
    lines = {path: len(texts[path].splitlines()) for path in modules}
    folders = Counter(path.parent.as_posix() for path in modules)
    names = Counter(path.stem for path in modules)
    tested = {path.stem.removeprefix("test_") for path in (checkout / "tests").rglob("test_*.py")}
    longest = max(modules, key=lambda path: lines[path])
    return Structure(
        modules=len(modules),
        most_modules=max(folders.values()),
        crowded={folder: n for folder, n in sorted(folders.items()) if n > MOST_MODULES},
        twice=sorted(name for name, n in names.items() if n > 1),
        naming_ranks=sum(not RANKS.isdisjoint(identifiers(tree)) for tree in trees),
        isinstance_forms=sum(is_instance_of(tree, FORMS) for tree in trees),
        isinstance_families=sum(is_instance_of(tree, FAMILIES) for tree in trees),
        loose_dictionaries=sum(annotated(tree, "dict[str, Any]") for tree in trees),
        loose_mappings=sum(annotated(tree, "Mapping[str, Any]") for tree in trees),
        median_lines=median(lines.values()),
        longest_lines=lines[longest],
        longest=longest.as_posix(),
        asking=sum(map(asking, trees)),
        untested=sum(path.stem not in tested for path in modules),
        log_calls=sum(map(log_calls, trees)),
    )


def identifiers(tree: ast.Module) -> Iterator[str]:
    """The names in code: variables, attributes, arguments and keywords, but no text."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name


def is_instance_of(tree: ast.Module, kinds: set[str]) -> int:
    """The number of `isinstance(value, kind)` with a kind, or a union of kinds, that names one of `kinds`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 2)
    tests = (call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "isinstance")
    named = ({node.id for node in ast.walk(test) if isinstance(node, ast.Name)} for test in tests)
    return sum(not kinds.isdisjoint(names) for names in named)


def annotated(tree: ast.Module, kind: str) -> int:
    """The number of times that code names the generic type `kind`, such as "dict[str, Any]"."""
    return sum(isinstance(node, ast.Subscript) and ast.unparse(node) == kind for node in ast.walk(tree))


def asking(tree: ast.Module) -> int:
    """The number of docstrings that open with a question."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    documented = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return sum(bool(QUESTION.match(text)) for text in documented if text is not None)


def log_calls(tree: ast.Module) -> int:
    """The number of calls such as `log.info(...)`."""
    functions = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(
        isinstance(f, ast.Attribute) and f.attr in LOG_CALLS and isinstance(f.value, ast.Name) and f.value.id in LOGGERS
        for f in functions
    )


def table(columns: Sequence[tuple[str, Structure]]) -> str:
    """Markdown: a line per count, a column per checkout; lists by their length."""
    rows = [["", *(name for name, _ in columns)], ["---", *("---:" for _ in columns)]]
    rows += [[label, *(_shown(getattr(found, field)) for _, found in columns)] for field, label in LABELS.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _shown(value: float | str | dict[str, int] | list[str]) -> str:
    return value if isinstance(value, str) else str(len(value) if isinstance(value, dict | list) else f"{value:g}")


def details(name: str, found: Structure) -> str:
    """The crowded folders and the double names of one checkout, a line each."""
    crowded = ", ".join(f"{folder} ({n})" for folder, n in found.crowded.items())
    twice = ", ".join(found.twice)
    return f"{name}: more than {MOST_MODULES} modules in {crowded or 'no folder'}; twice: {twice or 'none'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("checkout", type=Path, nargs="?", default=here, help="what to count [default: this one]")
    parser.add_argument("--before", type=Path, help="an older checkout to show beside it")
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    arguments = parser.parse_args()
    columns = [("before", structure_of(arguments.before))] if arguments.before else []
    columns.append(("after" if arguments.before else "now", structure_of(arguments.checkout)))
    print(table(columns), "", *(details(name, found) for name, found in columns), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps({name: asdict(found) for name, found in columns}, indent=2) + "\n")


if __name__ == "__main__":
    main()
