import pytest

import shrinkml
from shrinkml.export.exporter import export
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save


def test_an_export_of_the_same_weights_is_equal(tiny_model_dir, tiny_data, tmp_path):
    export(tiny_model_dir, tmp_path / "onnx")
    utterances = read_manifest(tiny_data["dev"])
    found = compare(shrinkml.load(tiny_model_dir), OnnxRecogniser(tmp_path / "onnx"), utterances)
    assert (found.n_utterances, found.same_transcripts) == (24, 24)
    assert 0 < found.largest_difference < 1e-3


def test_an_export_of_other_weights_is_not(tiny_model_dir, tiny_data, tmp_path):
    other = shrinkml.load(tiny_model_dir)
    other.output.bias.data[5] += 0.25  # in half precision too
    save(other, tmp_path / "other", dtype="float16")
    export(tmp_path / "other", tmp_path / "onnx")
    utterances = read_manifest(tiny_data["dev"])[:4]
    found = compare(shrinkml.load(tiny_model_dir), OnnxRecogniser(tmp_path / "onnx"), utterances)
    assert found.largest_difference == pytest.approx(0.25, abs=0.01)
