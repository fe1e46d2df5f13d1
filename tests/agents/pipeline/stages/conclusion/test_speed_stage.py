import json

import pytest
import torch

from agents.pipeline.folder.stage_results import from_json, to_json
from agents.pipeline.stages.conclusion import speed_stage
from agents.pipeline.stages.conclusion.speed_stage import Timed, time_speed
from shrinkml.errors import StageError
from shrinkml.measure.speed_rows import RuntimeRow, Speedup
from tests.report_example import example


def test_speed_is_measured_for_one_utterance_and_for_batches(materials, half):
    found = time_speed(materials, half)
    assert found.runs == speed_stage.TIMED_RUNS >= 1
    assert min(found.batch1, found.batch16) > 0.0


def test_torch_keeps_its_threads(materials, half):
    before = torch.get_num_threads()
    time_speed(materials, half)
    assert torch.get_num_threads() == before


@pytest.fixture
def kept():
    """A result.json, which is of the same names as the rows of a report, and was when they were dictionaries."""
    return {"speedup": example()["speedup"], "runtimes": example()["runtimes"], "seconds": 1.0}


def test_a_result_is_read_into_records_and_written_as_it_was(kept):
    timed = from_json(Timed, kept, stage="speed")
    assert isinstance(timed.speedup, Speedup)
    assert {type(row) for row in timed.runtimes} == {RuntimeRow}
    assert {**json.loads(json.dumps(to_json(timed))), "seconds": 1.0} == kept


def test_a_result_that_lacks_a_figure_is_refused_by_its_name(kept):
    del kept["runtimes"][1]["peak_bytes"]
    with pytest.raises(
        StageError, match=r"the result of stage speed is not one of .* \(wrong: runtimes\.1\.peak_bytes\)"
    ):
        from_json(Timed, kept, stage="speed")
