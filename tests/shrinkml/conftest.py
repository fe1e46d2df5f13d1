"""A tiny recogniser-shaped model with one of everything that can be factorized, and a device without torch."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

README = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
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


class TinyRecogniser(nn.Module):
    """Bidirectional encoder, LSTMCell decoder, output layer tied to the embedding, a convolution in front."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(6, 6, 3, padding=1)
        self.encoder = nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.embedding = nn.Embedding(11, 10)
        self.query = nn.Linear(16, 10, bias=False)
        self.cell = nn.LSTMCell(10, 10)
        self.output = nn.Linear(10, 11)
        self.output.weight = self.embedding.weight

    def forward(self, frames: Tensor, tokens: Tensor) -> Tensor:
        """Frames [batch, time, 6] and tokens [batch, steps] to scores [batch, steps, 11]."""
        encoded, _ = self.encoder(self.front(frames.transpose(1, 2)).transpose(1, 2))
        context = self.query(encoded.mean(1))
        state = None
        steps = []
        for token in tokens.T:
            state = self.cell(self.embedding(token) + context, state)
            steps.append(self.output(state[0]))
        return torch.stack(steps, 1)


@pytest.fixture
def recogniser() -> TinyRecogniser:
    torch.manual_seed(0)
    return TinyRecogniser().eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 7, 6, generator=generator), torch.randint(11, (3, 4), generator=generator)


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
