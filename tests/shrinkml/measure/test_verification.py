import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from server.worker.processes import descendants
from shrinkml.errors import CheckpointError, LostProcessError
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load, stored_parameters


def test_a_fresh_process_hears_the_same_with_the_core_alone(tiny_model_dir, tiny_data):
    audio = [utterance.audio for utterance in read_manifest(tiny_data["dev"])[:4]]
    model = load(tiny_model_dir)
    fresh = view_in_fresh_process(tiny_model_dir, audio, threads=torch.get_num_threads())
    waveforms = [read_audio(path, model.sample_rate_hz) for path in audio]
    assert fresh.transcripts == [model.transcribe([model.features(waveform)])[0] for waveform in waveforms]
    assert fresh.parameters == stored_parameters(tiny_model_dir)
    assert fresh.packages == ["shrinkml"]


def test_what_the_fresh_process_says_of_a_broken_checkpoint_is_passed_on(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be used by a fresh process: .*no model"):
        view_in_fresh_process(tmp_path / "nowhere", [], threads=1)


def test_a_fresh_process_that_takes_too_long_is_given_up(tmp_path):
    with pytest.raises(CheckpointError, match=r"could not use .* within 0.01 s"):
        view_in_fresh_process(tmp_path, [], threads=1, most_s=0.01)


@pytest.fixture
def killing():
    """Kills the first processes of the verification, as many as it is told to, as soon as they are there."""
    left, done = [], threading.Event()

    def kill() -> None:
        seen = set()
        while not done.wait(0.01):  # whoever looks all the time slows down what it waits for
            for pid in set(descendants(os.getpid())) - seen:
                with suppress(OSError):  # it has ended
                    if left and "verification" in Path(f"/proc/{pid}/cmdline").read_text():
                        os.kill(pid, signal.SIGKILL)
                        seen.add(pid)
                        left.pop()

    def start(n: int) -> None:
        left.extend(range(n))
        thread.start()

    thread = threading.Thread(target=kill)
    yield start
    done.set()
    thread.join()


def test_a_fresh_process_that_is_killed_is_followed_by_another(tiny_model_dir, killing):
    killing(1)
    assert view_in_fresh_process(tiny_model_dir, [], threads=1).packages == ["shrinkml"]


def test_fresh_processes_that_are_killed_are_no_fault_of_the_model(tiny_model_dir, killing):
    killing(2)
    with pytest.raises(
        LostProcessError, match=r"the process that opened .*las afresh was killed \(signal 9\), perhaps"
    ):
        view_in_fresh_process(tiny_model_dir, [], threads=1)
