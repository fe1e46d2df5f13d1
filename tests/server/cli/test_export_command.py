"""The export command, on the tiny recogniser."""

import json

from shrinkml.speech.manifest import read_manifest, write_manifest


def test_export_writes_a_folder_and_says_how_big_it_is(shrinkml, tiny_model_dir, tmp_path):
    result = json.loads(shrinkml("export", tiny_model_dir, "--out", tmp_path / "onnx", "--json").out)
    assert set(result["files"]) == {"encoder.onnx", "decoder.onnx", "recogniser.json"}
    assert result["files"]["encoder.onnx"] == (tmp_path / "onnx" / "encoder.onnx").stat().st_size
    shown = shrinkml("export", tiny_model_dir, "--out", tmp_path / "onnx").out
    assert f"{result['files']['encoder.onnx']:,}" in shown


def test_export_refuses_a_folder_that_is_no_model(shrinkml, tmp_path):
    code, _, err = shrinkml("export", tmp_path, "--out", tmp_path / "onnx")
    assert (code, err.startswith("error: ")) == (2, True)
    assert not (tmp_path / "onnx").exists()


def test_export_in_int8_looks_for_sensitive_layers_in_speech(shrinkml, tiny_model_dir, tiny_data, tmp_path):
    dev = tmp_path / "few.jsonl"
    write_manifest(dev, read_manifest(tiny_data["dev"])[:2])
    run = shrinkml("export", tiny_model_dir, "--out", tmp_path / "onnx", "--int8", "--speech", dev)
    assert run.code == 0, run.err
    recipe = json.loads((tmp_path / "onnx" / "recogniser.json").read_text())
    assert (recipe["int8"], recipe["kept"]) == (True, [])
    assert "not in int8, which would harm them: no layer" in run.err


def test_speech_without_int8_is_refused(shrinkml, tiny_model_dir, tiny_data, tmp_path):
    run = shrinkml("export", tiny_model_dir, "--out", tmp_path / "onnx", "--speech", tiny_data["dev"])
    assert (run.code, "add --int8" in run.err) == (2, True)
    assert not (tmp_path / "onnx").exists()
