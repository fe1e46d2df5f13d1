import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from shrinkml.errors import MissingPackageError
from shrinkml.extras import EXTRAS, extra_with, needs
from tests.structure.sources import LAYERS, ROOT, imported_modules, sources, tree_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()


def normal(name):
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(requirements):
    """The distributions that `requirements` name, without our own extras."""
    names = {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}
    return names - {"shrinkml"}


def brought(packages):
    return {normal(DISTRIBUTIONS[package][0]) for package in packages}


def test_the_table_says_what_pyproject_says():
    optional = PROJECT["optional-dependencies"]
    assert {extra: brought(packages) for extra, packages in EXTRAS.items()} == {
        extra: distributions(optional[extra]) for extra in optional.keys() - {"all", "service"}
    }


def test_all_brings_every_extra():
    included = {"all"}
    for _ in EXTRAS:
        for extra in list(included):
            for requirement in PROJECT["optional-dependencies"][extra]:
                if found := re.match(r"shrinkml\[(.*)\]", requirement):
                    included |= set(found[1].split(","))
    assert included == {"all", *EXTRAS}
    assert PROJECT["optional-dependencies"]["service"] == ["shrinkml[all]"]


def test_whatever_is_imported_is_declared():
    imported = {module.partition(".")[0] for path in sources() for module in imported_modules(tree_of(path))}
    foreign = imported - sys.stdlib_module_names - set(LAYERS)
    core = distributions(PROJECT["dependencies"])
    undeclared = {p for p in foreign if extra_with(p) is None and not {normal(d) for d in DISTRIBUTIONS[p]} & core}
    assert undeclared == set()


@pytest.mark.parametrize(("package", "extra"), [("onnx", "export"), ("yaml", "search"), ("torch", None)])
def test_a_package_is_brought_by_an_extra(package, extra):
    assert extra_with(package) == extra


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    message = r"^the page needs plotly, which is not installed; install shrinkml\[report\]$"
    with pytest.raises(MissingPackageError, match=message), needs("the page"):
        import plotly.offline  # noqa: F401


def test_the_part_that_lacks_it_is_named_not_what_uses_that_part(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingPackageError, match=r"^the page needs plotly"), needs("a job"), needs("the page"):
        import plotly  # noqa: F401


def test_an_import_that_no_extra_would_mend_fails_as_it_is():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), needs("the page"):
        import no_such_package  # noqa: F401
