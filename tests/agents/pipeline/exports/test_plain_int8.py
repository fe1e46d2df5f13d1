"""The tiny recogniser in int8, kept where it meets the goal or does better than the result."""

from dataclasses import replace

import pytest

from agents.pipeline.exports.onnx_export import export_onnx
from agents.pipeline.exports.plain_int8 import PLAIN_INT8, write_plain_int8
from shrinkml.export.exporter import Exporter
from shrinkml.job import Goal
from shrinkml.storage import checkpoint

OUT_OF_REACH = Goal(compression_ratio=100.0, max_wer_increase=0.5)


@pytest.fixture(scope="module")
def half_in_int8(materials, half, tmp_path_factory):
    return export_onnx(materials, Exporter(half), tmp_path_factory.mktemp("half") / "int8", int8=True)


def test_where_int8_alone_meets_the_goal_it_is_handed_over(materials, tmp_path):
    goal = Goal(compression_ratio=1.01, max_wer_increase=1.0)
    row = write_plain_int8(materials, tmp_path, goal=goal, of_result=[])
    assert row.meets_goal == (row.bytes * 1.01 <= checkpoint.inspect(materials.original).stored_bytes)
    assert (tmp_path / PLAIN_INT8).is_dir() == row.handed_over


def test_it_is_not_kept_where_the_result_is_smaller_or_hears_better(materials, half_in_int8, tmp_path):
    better = replace(half_in_int8, bytes=1, wer=0.0)
    row = write_plain_int8(materials, tmp_path, goal=OUT_OF_REACH, of_result=[better])
    assert not row.handed_over
    assert list(tmp_path.iterdir()) == []


def test_it_is_handed_over_where_the_result_is_larger_and_hears_no_better(materials, half_in_int8, tmp_path):
    worse = replace(half_in_int8, bytes=10**9, wer=1.0)
    row = write_plain_int8(materials, tmp_path, goal=OUT_OF_REACH, of_result=[worse])
    assert (row.meets_goal, row.beats_result) == (False, True)
    assert row.bytes == sum(path.stat().st_size for path in (tmp_path / PLAIN_INT8).iterdir())
