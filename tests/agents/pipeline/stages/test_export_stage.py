import pytest

from agents.pipeline.materials import Materials
from agents.pipeline.stages import export_stage, speed_stage
from agents.pipeline.stages.export_stage import export_onnx, hear_in_int8
from shrinkml.errors import ExportError
from shrinkml.export.exporter import Exporter
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.measure.timed_process import TORCH
from shrinkml.report.record import Int8Row
from shrinkml.storage import checkpoint


def test_what_int8_costs_in_torch_is_measured_where_layers_are_large_enough_for_it(materials, spec, half):
    assert hear_in_int8(materials, half) is None
    bundled = checkpoint.locate("reference/ctc")
    both = {"float32", "int8"}
    assert speed_stage._in_torch(bundled, both).keys() == {(TORCH, "float32"), (TORCH, "int8")}
    assert speed_stage._in_torch(half, both).keys() == {(TORCH, "float32")}
    large = Materials("reference/ctc", spec.data, seed=0, should_stop=lambda: False)
    found = hear_in_int8(large, bundled)
    assert found.keys() == Int8Row.__annotations__.keys()
    assert found["wer"] == pytest.approx(word_error_rate(large.model, large.test), abs=0.05)


def test_an_export_that_computes_something_else_is_refused(materials, half, tmp_path, monkeypatch):
    monkeypatch.setattr(export_stage, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(ExportError, match=r"the scores of the checkpoint and of \S+/onnx differ by .*; allowed: 0"):
        export_onnx(materials, Exporter(half), tmp_path / "onnx")
