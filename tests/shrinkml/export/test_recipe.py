"""The README's script, copied as it stands, in a process that can import nothing but what a device has."""

import pytest

import shrinkml
from shrinkml.export.exporter import export
from shrinkml.export.recogniser import OnnxRecogniser


@pytest.mark.parametrize("package", ["torch", "shrinkml", "onnx", "kaldi_native_fbank", "transformers"])
def test_the_device_of_these_tests_has_no(package, on_device):
    assert f"no {package} on this device" in on_device(f"import {package}")


def test_the_readmes_script_hears_what_torch_hears(checkpoint, spoken, readmes_script, tmp_path):
    model = shrinkml.load(checkpoint)
    export(checkpoint, tmp_path / "onnx")
    for waveform, _ in spoken[-2:]:
        expected = model.transcribe([model.features(waveform)])[0]
        assert readmes_script("decoder", tmp_path / "onnx", waveform) == expected != ""


def test_it_hears_in_int8(tiny_model_dir, spoken, readmes_script, tmp_path):
    export(tiny_model_dir, tmp_path / "onnx", int8=True)
    waveform, _ = spoken[-1]
    (expected,) = OnnxRecogniser(tmp_path / "onnx").transcribe([waveform])
    assert readmes_script("decoder", tmp_path / "onnx", waveform) == expected != ""
