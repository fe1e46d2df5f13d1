"""Whether everything goes where the model is, on a device that is only pretended: see pretended.py."""

import subprocess
import sys
from pathlib import Path

import pytest

KINDS = ["whisper", "wav2vec2"]
OTHERS = ["speech_to_text", "moonshine", "hubert", "wavlm", "wav2vec2-conformer", "parakeet_ctc"]


@pytest.mark.parametrize("kinds", [KINDS, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=["few", "others"])
def test_no_tensor_stays_behind_when_a_model_is_on_another_device(tiny_model_dir, stock_dir, kinds):
    folders = [str(tiny_model_dir), *(str(stock_dir(kind)) for kind in kinds)]
    command = [sys.executable, str(Path(__file__).with_name("pretended.py")), *folders]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == folders, done.stderr
