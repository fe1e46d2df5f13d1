import json
import subprocess
import sys

import pytest

from agents.pipeline.exports.export_table import DENSE, EXPORTS, Export
from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.job_run import run_job
from agents.pipeline.stages.preparation.validate_stage import validate
from shrinkml.errors import ExportError, MissingPackageError, UnknownNameError
from shrinkml.report import to_json

QUICK = {"search": {"strategy": "uniform", "evaluations": 1, "baselines": []}, "finetune": {"epochs": 0}}


def test_the_names_are_known_without_torch():
    program = "import sys; from agents.pipeline.exports.export_table import EXPORTS; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "onnx", "transformers"} & set(run.stdout.split())


def test_a_recogniser_that_only_shrinkml_opens_has_no_dense_copy(materials):
    EXPORTS["onnx"].check(materials)
    with pytest.raises(ExportError, match="nothing but ShrinkML opens"):
        EXPORTS["transformers"].check(materials)


def test_a_job_with_an_export_that_no_table_holds_is_refused(materials, tiny_job):
    with pytest.raises(
        UnknownNameError,
        match=r"no export named 'onxn'; known: onnx, optimum, sherpa-onnx, transformers\. Did you mean 'onnx'",
    ):
        validate(materials, tiny_job(export=["onxn"]))


def test_a_job_says_at_once_which_extra_its_export_needs(materials, tiny_job, monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("onnx", "shrinkml.export."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"the export needs onnx, .* install shrinkml\[export\]"):
        validate(materials, tiny_job(export=["onnx"]))


def test_an_export_is_one_row(tiny_job, tmp_path, monkeypatch):
    """A toy that lists the parts of the final checkpoint."""
    checked = []

    def write(materials, spec, checkpoints):
        (checkpoints / "final-parts").mkdir()
        parts = sorted(path.name for path in (checkpoints / FINAL).iterdir())
        (checkpoints / "final-parts" / "parts.txt").write_text("\n".join(parts))
        return ()

    monkeypatch.setitem(EXPORTS, "parts", Export("a list", checked.append, write))
    report = to_json(run_job(tiny_job(export=["parts"], **QUICK), tmp_path / "job"))
    assert len(checked) == 1
    preflight = json.loads((tmp_path / "job" / "stages" / "validate" / "result.json").read_text())
    assert preflight["exports"] == {"parts": "a list"}, "what it is stands in the pre-flight report"
    assert report["exports"] == []
    assert "final-parts" in {row["name"] for row in report["checkpoints"]}
    assert "model.safetensors" in (tmp_path / "job/checkpoints/final-parts/parts.txt").read_text().split()
    assert not (tmp_path / "job" / "checkpoints" / DENSE).exists()
