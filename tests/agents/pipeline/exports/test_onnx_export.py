import pytest

from agents.pipeline.exports import onnx_export
from agents.pipeline.exports.onnx_export import ONNX, ONNX_INT8, export_onnx, write_onnx
from agents.pipeline.folder.run_folder import FINAL
from shrinkml.errors import ExportError
from shrinkml.export.exporter import Exporter


def test_an_export_that_computes_something_else_is_refused(materials, half, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(ExportError, match=r"the scores of the checkpoint and of \S+/onnx differ by .*; allowed: 0"):
        export_onnx(materials, Exporter(half), tmp_path / "onnx")


def test_it_is_written_in_float_and_on_request_in_int8(materials, half, tmp_path):
    (tmp_path / FINAL).symlink_to(half)
    assert [(row.name, row.int8) for row in write_onnx(materials, tmp_path, int8=True)] == [
        (ONNX, False),
        (ONNX_INT8, True),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [FINAL, ONNX, ONNX_INT8]
