import importlib.util
from pathlib import Path

import pytest

from tests.report_example import example

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench(request):
    """The benchmark that the file of tests is named after."""
    name = request.path.stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)  # some share what others hold
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def report():
    """The JSON of a report."""
    return example()
