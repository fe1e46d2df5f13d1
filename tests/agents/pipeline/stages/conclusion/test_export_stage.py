import pytest

from agents.pipeline.materials import Materials
from agents.pipeline.stages.conclusion import speed_stage
from agents.pipeline.stages.conclusion.export_stage import hear_in_int8
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
    assert isinstance(found, Int8Row)
    assert found.wer == pytest.approx(word_error_rate(large.model, large.test), abs=0.05)
