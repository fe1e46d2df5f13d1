"""Whether everything goes where the model is, on a device that is only pretended: see pretended.py."""

import subprocess
import sys
from pathlib import Path

KINDS = ["whisper", "speech_to_text", "moonshine", "wav2vec2", "hubert", "wavlm", "wav2vec2-conformer", "parakeet_ctc"]


def test_no_tensor_stays_behind_when_a_model_is_on_another_device(tiny_model_dir, stock_dir):
    folders = [str(tiny_model_dir), *(str(stock_dir(kind)) for kind in KINDS)]
    command = [sys.executable, str(Path(__file__).with_name("pretended.py")), *folders]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == folders, done.stderr
