"""What a recogniser costs is measured in processes of their own, on the tiny recogniser and one that is wider."""

import os

import pytest
import torch

from server.worker.processes import descendants
from shrinkml.errors import StoppedError
from shrinkml.export.exporter import export
from shrinkml.measure.runtimes import Contender, compare_runtimes, thread_counts
from shrinkml.measure.speed_rows import RuntimeRow
from shrinkml.measure.timed_process import ONNXRUNTIME, TORCH
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save


@pytest.fixture(scope="module")
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])[:16]


@pytest.fixture(scope="module")
def narrow(tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow") / "onnx"
    export(tiny_model_dir, folder)
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    save(Las(LasConfig(hidden=256, decoder=256), Tokenizer.from_texts(["on off"], "word")), folder / "model")
    export(folder / "model", folder / "onnx")
    return folder / "onnx"


def test_the_row_of_each_model_says_how_fast_it_is_beside_the_first_of_its_kind(wide, narrow, utterances):
    contenders = [
        Contender(ONNXRUNTIME, name, "float32", f) for name, f in (("original", wide), ("compressed", narrow))
    ]
    rows = compare_runtimes(contenders, utterances, threads=(1,), rounds=3)
    before, after = rows
    assert all(isinstance(row, RuntimeRow) for row in rows)
    assert [(row.model, row.rounds, row.threads) for row in rows] == [("original", 3, 1), ("compressed", 3, 1)]
    for size in (1, 16):
        least, most = getattr(after, f"rtf_batch{size}_range")
        assert 0.0 < least <= getattr(after, f"rtf_batch{size}") <= most
        assert getattr(before, f"speedup_batch{size}") == 1.0
        assert getattr(after, f"speedup_batch{size}") > 2.0, "it has fifty times fewer parameters"
    assert after.bytes == sum(path.stat().st_size for path in narrow.iterdir()) < before.bytes
    assert before.peak_bytes - after.peak_bytes > 0.5 * (before.bytes - after.bytes)


def test_an_export_is_run_without_torch_and_takes_less_to_start_and_to_keep(tiny_model_dir, narrow, utterances):
    contenders = [
        Contender(TORCH, "original", "float32", tiny_model_dir),
        Contender(ONNXRUNTIME, "original", "float32", narrow),
    ]
    torchs, onnxs = compare_runtimes(contenders, utterances, threads=(1,), most_s=0.0)
    assert (torchs.rounds, onnxs.rounds) == (1, 1), "where there is no time for a second, the first one counts"
    assert onnxs.peak_bytes < torchs.peak_bytes / 1.5
    assert onnxs.import_s < torchs.import_s


def test_no_more_models_are_held_than_take_turns(wide, narrow, utterances):
    before, held = set(descendants(os.getpid())), []

    def should_stop():
        held.append(len(set(descendants(os.getpid())) - before))
        return False

    contenders = [
        Contender(ONNXRUNTIME, name, precision, folder)
        for precision in ("float32", "int8")
        for name, folder in (("original", wide), ("compressed", narrow))
    ]
    rows = compare_runtimes(contenders, utterances, threads=(1,), most_s=0.0, should_stop=should_stop)
    assert [(row.model, row.precision) for row in rows] == [(one.model, one.precision) for one in contenders]
    assert max(held) == 2


def test_a_stop_ends_the_timing_and_its_processes(narrow, utterances):
    before, told = set(descendants(os.getpid())), []

    def should_stop():
        told.append(set(descendants(os.getpid())) - before)
        return len(told) > 4

    with pytest.raises(StoppedError, match="stopped while timing"):
        compare_runtimes(
            [Contender(ONNXRUNTIME, "original", "float32", narrow)], utterances, threads=(1,), should_stop=should_stop
        )
    assert told[-1], "its process was at work"
    assert set(descendants(os.getpid())) <= before


def test_every_thread_count_has_rows_of_its_own(narrow, utterances):
    (contender,) = [Contender(ONNXRUNTIME, "original", "float32", narrow)]
    rows = compare_runtimes([contender], utterances[:1], threads=(1, 2), rounds=1)
    assert [row.threads for row in rows] == [1, 2]
    assert set(thread_counts()) == {1, len(os.sched_getaffinity(0))}
