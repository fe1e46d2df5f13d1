"""A fresh virtual environment with ShrinkML's wheel and what its core requires, and nothing else."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.structure.sources import LAYERS, ROOT

KERNEL = "shrinkml/layers/kernel"  # folder of what is compiled
BESIDE = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def build_wheel(folder: Path, *, compiled: Path | None = None) -> Path:
    """The wheel of a copy of the sources: building leaves traces where it is done.

    Args:
        folder: where the copy and the wheel go.
        compiled: the kernel, where it is not to be compiled for a minute: as up to date as what setuptools left there.
    """
    copy = folder / "source"
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, copy / layer, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in BESIDE:
        shutil.copy(ROOT / name, copy / name)
    if compiled is not None:
        built = copy / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}" / KERNEL
        built.mkdir(parents=True)
        shutil.copyfile(compiled, built / compiled.name)
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(copy))
    (wheel,) = folder.glob("shrinkml-*.whl")
    return wheel


def make_environment(folder: Path, wheel: Path) -> Path:
    """The Python of a new environment with `wheel` and links to what it requires, as it is installed here.

    Links, because an installed torch is a gigabyte: only distributions that follow from the wheel's own requirements
    are there, so that an import of anything else fails as it would elsewhere.
    """
    python = make_empty_environment(folder)
    pip(str(python), "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    (site,) = (folder / "lib").glob("python*/site-packages")
    (metadata,) = site.glob("shrinkml-*.dist-info")
    for found in required_by(Distribution.at(metadata)):
        link(found, site)
    return python


def make_empty_environment(folder: Path) -> Path:
    """The Python of a new environment without any package."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def required_by(wanted: Distribution) -> Iterable[Distribution]:
    """The installed distributions that follow from what `wanted` requires without extras."""
    found: dict[str, Distribution] = {}
    waiting = list(wanted.requires or ())
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonicalize_name(requirement.name)
            if name not in found:
                found[name] = distribution(name)
                waiting += found[name].requires or ()
    return found.values()


def link(installed: Distribution, site: Path) -> None:
    """Put links into `site` to what `installed` has in its own folder of packages."""
    for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(installed.locate_file(top))).resolve())


def pip(python: str, *arguments: str) -> None:
    """Run this environment's pip for `python`."""
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
