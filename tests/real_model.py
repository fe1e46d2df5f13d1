"""A recogniser and speech that are not ours, read where they lie: beside the checkout, or as the environment says."""

import os
from pathlib import Path

import numpy as np
import pytest

from shrinkml.speech.audio import read_audio
from shrinkml.speech.corpora import librispeech
from shrinkml.speech.manifest import read_manifest

SHARED = Path(__file__).parents[2] / "shared"
WHISPER = Path(os.environ.get("SHRINKML_MODELS", SHARED / "models")) / "whisper-tiny.en"
REAL_SPEECH = Path(os.environ.get("SHRINKML_DATA", SHARED / "data")) / "librispeech_dev_clean_20spk"

needs_whisper = pytest.mark.skipif(
    not WHISPER.is_dir(), reason=f"no {WHISPER}; fetch openai/whisper-tiny.en and set SHRINKML_MODELS to its parent"
)
needs_real_speech = pytest.mark.skipif(
    not REAL_SPEECH.is_dir(), reason=f"no {REAL_SPEECH}; put LibriSpeech there, or set SHRINKML_DATA to its parent"
)


# As many as a claim is made of: tracing 38 million parameters takes a minute. In every run a toy stands for them.
ALL = [pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


def real_waveforms(folder: Path, n: int) -> list[np.ndarray]:
    """The first `n` test utterances, at 16 kHz, of those that `make whisper` prepares; manifests go to `folder`."""
    manifests = librispeech.prepare(folder, REAL_SPEECH, longest_s=30.0, test_speakers=5)
    return [read_audio(utterance.audio, 16_000) for utterance in read_manifest(manifests["test"])[:n]]
