import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from agents.pipeline.folder.stage_results import Plan, from_json, to_json
from shrinkml.errors import StageError
from shrinkml.plan.compression_plan import CompressionPlan


@dataclass(frozen=True, slots=True)
class Row:
    wer: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Result:
    plan: Plan
    rows: Sequence[Row]
    calls: Mapping[str, float]


RESULT = Result(CompressionPlan.of_ranks({"a.weight": 3}), [Row(0.1 + 0.2, (0.0, 1.0))], {"a.weight": 12.5})


def test_a_record_comes_back_as_it_was_through_a_file():
    assert from_json(Result, json.loads(json.dumps(to_json(RESULT))), stage="choose") == RESULT


def test_a_plan_is_written_as_everywhere_else():
    assert to_json(RESULT)["plan"] == RESULT.plan.to_json() == {"a.weight": 3}


def test_what_else_lies_in_a_result_is_left_aside():
    assert from_json(Result, {**to_json(RESULT), "seconds": 2.0}, stage="choose") == RESULT


def test_a_result_of_another_version_is_refused_by_the_names_of_what_is_wrong():
    value = {**to_json(RESULT), "rows": [{"wer": "much", "interval": [0.0, 1.0]}]}
    del value["calls"]
    message = r"the result of stage choose-5x is not one of this version \(wrong: calls, rows\.0\.wer\); remove its"
    with pytest.raises(StageError, match=message):
        from_json(Result, value, stage="choose-5x")
