"""A recogniser and speech that are not ours, read where they lie: beside the checkout, or as the environment says."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
WHISPER = Path(os.environ.get("SHRINKML_MODELS", SHARED / "models")) / "whisper-tiny.en"
REAL_SPEECH = Path(os.environ.get("SHRINKML_DATA", SHARED / "data")) / "librispeech_dev_clean_20spk"

needs_whisper = pytest.mark.skipif(
    not WHISPER.is_dir(), reason=f"no {WHISPER}; fetch openai/whisper-tiny.en and set SHRINKML_MODELS to its parent"
)
needs_real_speech = pytest.mark.skipif(
    not REAL_SPEECH.is_dir(), reason=f"no {REAL_SPEECH}; put LibriSpeech there, or set SHRINKML_DATA to its parent"
)
