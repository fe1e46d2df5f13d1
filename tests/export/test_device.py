"""The README's script, copied as it stands, in a process that can import nothing but what a device has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import shrinkml
from shrinkml.export.exporter import export

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
DEVICE = ("numpy", "onnxruntime", "soundfile")  # and what these depend on:
NEEDED = ("_soundfile", "cffi", "_cffi_backend", "typing_extensions", "flatbuffers", "google", "packaging")

# Refuses whatever is installed beside the device's packages: torch, shrinkml, onnx, kaldi_native_fbank and the rest.
GUARD = f"""
import importlib.machinery, runpy, sys

class Device(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        found = super().find_spec(name, path, target)
        origin = (found and found.origin) or ""
        top = name.partition(".")[0]
        if ("site-packages" in origin or top == "shrinkml") and not top.startswith({DEVICE + NEEDED}):
            raise ImportError(f"no {{name}} on this device")
        return found

sys.meta_path = [finder for finder in sys.meta_path if "PathFinder" not in str(finder)][:2] + [Device]
"""
RUN = "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"


@pytest.fixture
def script(tmp_path):
    (code,) = [
        block for block in re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.M) if "soundfile" in block
    ]
    (tmp_path / "transcribe.py").write_text(code)
    return tmp_path / "transcribe.py"


def run(code, *arguments, cwd):
    command = [sys.executable, "-I", "-c", GUARD + code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("package", ["torch", "shrinkml", "onnx", "kaldi_native_fbank", "transformers"])
def test_the_device_of_this_test_has_no(package, tmp_path):
    done = run(f"import {package}", cwd=tmp_path)
    assert "on this device" in done.stderr


def test_the_readmes_script_hears_what_torch_hears(checkpoint, spoken, script, tmp_path):
    model = shrinkml.load(checkpoint)
    export(checkpoint, tmp_path / "onnx")
    for waveform, _ in spoken[-2:]:
        soundfile.write(tmp_path / "audio.wav", waveform, model.sample_rate_hz, subtype="FLOAT")
        done = run(RUN, script, tmp_path / "onnx", tmp_path / "audio.wav", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == model.transcribe([model.features(waveform)])[0] != ""
