"""Processes that are told when to transcribe, on the tiny recogniser."""

import os
import time
from pathlib import Path

import pytest

from server.worker.processes import descendants
from shrinkml.errors import CheckpointError, LostProcessError, StoppedError
from shrinkml.export.exporter import export
from shrinkml.measure import timed_process
from shrinkml.measure.timed_process import ONNXRUNTIME, RUNTIMES, TORCH, TimedProcess
from shrinkml.speech.manifest import read_manifest


@pytest.fixture(scope="module")
def audio(tiny_data):
    return [utterance.audio for utterance in read_manifest(tiny_data["dev"])[:6]]


@pytest.fixture(scope="module")
def folders(tiny_model_dir, tmp_path_factory):
    """Runtime -> what it opens of the tiny recogniser."""
    exported = tmp_path_factory.mktemp("exported") / "onnx"
    export(tiny_model_dir, exported)
    return {TORCH: tiny_model_dir, ONNXRUNTIME: exported}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_tells_what_it_costs_to_start_and_to_transcribe(runtime, folders, audio):
    began = time.perf_counter()
    with TimedProcess(runtime, folders[runtime], audio, threads=1, should_stop=lambda: False) as timed:
        first, second = timed.run(1), timed.run(6)
    passed_s = time.perf_counter() - began
    assert min(timed.start.import_s, timed.start.load_s) > 0.0
    assert timed.start.import_s + timed.start.load_s + first.seconds + second.seconds < passed_s
    assert 0.0 < first.processor_s <= 1.2 * first.seconds + 0.05, "one thread is busy for no longer than the clock runs"
    assert second.peak_bytes >= first.peak_bytes > 10_000_000, "Python and numpy alone take more"


def test_a_checkpoint_that_would_gain_nothing_by_int8_is_an_error_that_says_so(folders, audio):
    with pytest.raises(CheckpointError, match=r"in torch cannot be timed: .*nothing in the model would gain by int8"):
        TimedProcess(TORCH, folders[TORCH], audio[:1], threads=1, should_stop=lambda: False, int8=True)


def test_its_runtime_may_use_so_many_threads(folders, audio):
    with TimedProcess(ONNXRUNTIME, folders[ONNXRUNTIME], audio[:1], threads=3, should_stop=lambda: False) as timed:
        environment = Path(f"/proc/{timed._process.pid}/environ").read_bytes().split(b"\0")
    assert b"OMP_NUM_THREADS=3" in environment


def test_the_process_ends_with_its_context(folders, audio):
    before = set(descendants(os.getpid()))
    with TimedProcess(ONNXRUNTIME, folders[ONNXRUNTIME], audio[:1], threads=1, should_stop=lambda: False):
        assert set(descendants(os.getpid())) - before
    assert set(descendants(os.getpid())) <= before


def test_a_stop_while_it_starts_ends_the_process(folders, audio):
    before = set(descendants(os.getpid()))
    with pytest.raises(StoppedError, match="stopped while timing"):
        TimedProcess(ONNXRUNTIME, folders[ONNXRUNTIME], audio[:1], threads=1, should_stop=lambda: True)
    assert set(descendants(os.getpid())) <= before


def test_a_stop_while_it_transcribes_is_told(folders, audio):
    stopped = []
    with TimedProcess(
        ONNXRUNTIME, folders[ONNXRUNTIME], audio[:1], threads=1, should_stop=lambda: bool(stopped)
    ) as timed:
        stopped.append(True)
        with pytest.raises(StoppedError, match="stopped while timing"):
            timed.run(1)


def test_a_folder_without_a_model_is_an_error_that_says_why(tmp_path, audio):
    with pytest.raises(
        CheckpointError, match=rf"{tmp_path} in onnxruntime cannot be timed: .*is no exported recogniser"
    ):
        TimedProcess(ONNXRUNTIME, tmp_path, audio[:1], threads=1, should_stop=lambda: False)


def test_a_process_that_was_killed_is_an_error_and_no_wait(folders, audio):
    with TimedProcess(ONNXRUNTIME, folders[ONNXRUNTIME], audio[:1], threads=1, should_stop=lambda: False) as timed:
        timed._process.kill()
        timed._process.wait()
        with pytest.raises(LostProcessError, match=r"the process that timed .* was killed \(signal 9\)"):
            timed.run(1)


def test_the_longest_utterances_come_first_in_batches_of_the_size_that_was_told(audio, monkeypatch, capsys):
    """In this process: a runtime of its own that remembers how long the waveforms are that it is given."""
    heard = []

    def remember(threads, int8):
        return lambda folder: (16_000, lambda waveforms: heard.append([len(wave) for wave in waveforms]))

    monkeypatch.setitem(timed_process.RUNTIMES, "remembering", remember)
    monkeypatch.setattr("sys.stdin", ["4\n"])
    timed_process._main("remembering", ".", "1", "0", *map(str, audio))
    lengths = [length for batch in heard for length in batch]
    assert [len(batch) for batch in heard] == [4, 2]
    assert lengths == sorted(lengths, reverse=True)
    assert len(capsys.readouterr().out.splitlines()) == 2, "a Start and a Pass"
