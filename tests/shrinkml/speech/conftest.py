"""Real audio files, and the folder of the public data sets."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shrinkml.speech.audio import write_flac

REPOSITORY = Path(__file__).parents[3]
MakeAudio = Callable[..., Path]


@pytest.fixture
def make_audio(tmp_path: Path) -> MakeAudio:
    """Writes a short tone to `name`; another pitch is another recording."""

    def make(name: str, *, duration_s: float = 0.5, pitch_hz: float = 440.0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(duration_s * 16_000)) / 16_000
        write_flac(path, 0.5 * np.sin(2 * np.pi * pitch_hz * time), 16_000)
        return path

    return make


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder that holds the public data sets."""
    folder = Path(os.environ.get("SHRINKML_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets in {folder}; SHRINKML_DATA names the folder that has them")
    return folder
