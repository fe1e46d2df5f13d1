"""The wheel, installed with what its core requires and nothing else, loads, transcribes and evaluates."""

import json
import re
import subprocess
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest

import shrinkml
from shrinkml.extras import EXTRAS
from shrinkml.measure.evaluation import evaluate, transcripts
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset
from tests.structure.core_environment import KERNEL, build_wheel, make_empty_environment, make_environment, pip
from tests.structure.sources import ROOT, sources

OF_TORCH = {"jinja2", "markupsafe"}  # which the core requires: they come along

RECOGNISE = """
import json, sys
from pathlib import Path
import shrinkml, torch
from shrinkml.layers.kernel.lstm_kernel import usable
from shrinkml.measure.evaluation import evaluate, transcripts
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset

model = shrinkml.load("reference/las")
dataset = load_dataset(model, read_manifest(Path(sys.argv[1])))
evaluation = evaluate(model, dataset, stored_bytes=1).to_json()
print(json.dumps([transcripts(model, dataset), evaluation, usable(torch.zeros(1)), shrinkml.__file__]))
"""
IMPORTABLE = """
from importlib.util import find_spec
from shrinkml.extras import EXTRAS
print(*{package for packages in EXTRAS.values() for package in packages if find_spec(package)})
"""
REFUSED = {  # a program -> who says that something is missing, and in which extra it is
    "import shrinkml; shrinkml.load('reference/ctc')": ("opening reference/ctc", "hf"),
    "import shrinkml.export.exporter": ("the export", "export"),
    "import shrinkml.export.recogniser": ("an exported recogniser", "export"),
    "import pathlib, shrinkml.report; shrinkml.report.write_report({}, pathlib.Path('report'))": (
        "the page of a report",
        "search",  # which brings what it lacks first
    ),
    "import shrinkml; shrinkml.compress": ("shrinkml.compress", "search"),
    "import shrinkml.client": ("the client", "server"),
}
REFUSALS = """
import json, sys
from shrinkml.errors import MissingPackageError
for program in json.loads(sys.argv[1]):
    try:
        exec(program)
    except MissingPackageError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (compiled,) = (ROOT / KERNEL).glob("_lstm_kernel*.so")
    return build_wheel(tmp_path_factory.mktemp("wheel"), compiled=compiled)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the core alone."""
    return make_environment(tmp_path_factory.mktemp("core"), wheel)


def run(python: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs `program` as a user would: away from the sources, and without this process's paths."""
    command = [str(python), "-I", "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=python.parent, capture_output=True, text=True)


def test_the_wheel_holds_every_module_and_what_it_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folders = (ROOT / "shrinkml" / "reference", ROOT / "server" / "dashboard" / "static")
    files = [path for folder in folders for path in folder.rglob("[!.]*") if path.is_file()]
    data = {path.relative_to(ROOT).as_posix() for path in files}
    assert {*sources(), *data, "shrinkml/py.typed", "shrinkml/report/page.html"} - names == set()
    assert [name for name in names if name.startswith("shrinkml/layers/kernel/_lstm_kernel") and name.endswith(".so")]
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "configs/"))]


def test_nothing_beyond_the_core_is_installed_there(python):
    assert set(run(python, IMPORTABLE).stdout.split()) == OF_TORCH


def check_it_recognises(python: Path, manifest: Path) -> None:
    """That the core hears and measures there what this environment, with every package, does."""
    model = shrinkml.load("reference/las")
    dataset = load_dataset(model, read_manifest(manifest))
    done = run(python, RECOGNISE, manifest)
    assert done.returncode == 0, done.stderr
    heard, evaluation, compiled, place = json.loads(done.stdout)
    assert heard == transcripts(model, dataset)
    assert evaluation == json.loads(json.dumps(asdict(evaluate(model, dataset, stored_bytes=1))))
    assert compiled, "the compiled kernel is missing"
    assert Path(place).is_relative_to(python.parent.parent)


def test_the_core_loads_transcribes_and_evaluates(python, tiny_data):
    check_it_recognises(python, tiny_data["test"])


def test_what_needs_more_says_which_extra(python):
    said = run(python, REFUSALS, json.dumps([*REFUSED])).stdout.splitlines()
    for message, (user, extra) in zip(said, REFUSED.values(), strict=True):
        package = re.fullmatch(rf"{user} needs (\w+), which is not installed; install shrinkml\[{extra}\]", message)
        assert package, message
        assert package[1] in EXTRAS[extra]


def test_the_command_line_says_which_extra(python):
    done = subprocess.run([python.with_name("shrinkml"), "serve"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the command line needs typer, which is not installed; install shrinkml[server]\n"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pip_installs_the_core_from_the_index(tmp_path, tiny_data):
    wheel = build_wheel(tmp_path)
    python = make_empty_environment(tmp_path / "core")
    pip(str(python), "install", "--constraint", str(ROOT / "requirements.txt"), str(wheel))
    assert set(run(python, IMPORTABLE).stdout.split()) == OF_TORCH
    check_it_recognises(python, tiny_data["test"])
