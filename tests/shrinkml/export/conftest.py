"""The tiny recogniser, dense and low rank, a hundred utterances, and a device without torch to hear them on."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save

README = (Path(__file__).resolve().parents[3] / "docs" / "devices.md").read_text(encoding="utf-8")
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


@pytest.fixture(scope="session")
def spoken(tiny_data: dict[str, Path]) -> list[tuple[np.ndarray, str]]:
    """Waveform and reference of all 96 utterances, and of four that are made of four each."""
    utterances = [u for split in ("train", "dev", "test") for u in read_manifest(tiny_data[split])]
    heard = [(read_audio(u.audio, 16_000), u.text) for u in utterances]
    several = [heard[start : start + 4] for start in (0, 30, 60, 90)]
    return heard + [(np.concatenate([w for w, _ in four]), " ".join(t for _, t in four)) for four in several]


@pytest.fixture(scope="session", params=["dense", "low_rank", "mixed"])
def checkpoint(request: pytest.FixtureRequest, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with no, with all, and with every second of its matrices factorized."""
    if request.param == "dense":
        return tiny_model_dir
    model = shrinkml.load(tiny_model_dir)
    layers = find_layers(model)[:: 1 if request.param == "low_rank" else 2]
    plan = CompressionPlan.of_ranks({layer.name: layer.break_even_rank for layer in layers})
    folder = tmp_path_factory.mktemp("factorized") / request.param
    save(factorize(model, plan, decompose(model, "svd", {})), folder, dtype="float16")
    return folder


@pytest.fixture
def on_device(tmp_path: Path) -> Callable[..., str]:
    """Runs code where nothing but a device's packages can be imported; what it prints, or how it fails."""

    def run(code: str, *arguments: object) -> str:
        command = [sys.executable, "-I", "-c", GUARD + code, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        return done.stderr if done.returncode else done.stdout.strip()

    return run


@pytest.fixture
def readmes_script(tmp_path: Path, on_device: Callable[..., str]) -> Callable[..., str]:
    """Transcribes a waveform with an exported folder, by the README's script that holds the word `mark`."""

    def transcribe(mark: str, folder: Path, waveform: np.ndarray) -> str:
        blocks = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
        (code,) = [block for block in blocks if "onnxruntime" in block and mark in block]
        (tmp_path / "transcribe.py").write_text(code)
        soundfile.write(tmp_path / "audio.wav", waveform, 16_000, subtype="FLOAT")
        return on_device(RUN, tmp_path / "transcribe.py", folder, tmp_path / "audio.wav")

    return transcribe
