"""Speed is measured in turns, on the whole recogniser, and leaves the models as they were."""

import os
import time

import pytest
import torch
from torch import nn

from shrinkml.measure.speed import speed_at, speedup
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer


class Sleeper:
    """A recogniser that takes `delay_s` per batch and writes down who was called, in which mode, with how many."""

    def __init__(self, name, delay_s, calls):
        self.name, self.delay_s, self.calls = name, delay_s, calls
        self.module = nn.Linear(1, 1)

    def transcribe(self, features, *, beam=1):
        self.calls.append((self.name, len(features), self.module.training, torch.get_num_threads()))
        time.sleep(self.delay_s)
        return [""] * len(features)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def pair(calls):
    return Sleeper("dense", 0.008, calls), Sleeper("compressed", 0.002, calls)


FEATURES = [torch.zeros(n, 2) for n in (3, 5, 4)]
DURATIONS_S = [0.3, 0.5, 0.4]


def test_the_speedup_is_dense_time_over_compressed_time(pair):
    result = speedup(*pair, FEATURES, DURATIONS_S, runs=5)
    assert 2.0 < result.batch1 < 5.0  # 8 ms against 2 ms; a sleep may last longer than asked, never shorter
    assert 2.0 < result.batch16 < 5.0


def test_real_time_factors_are_processing_time_over_audio_time(pair):
    row = speed_at(*pair, FEATURES, DURATIONS_S, batch_size=1, threads=1, runs=3)
    assert row.rtf_dense >= 3 * 0.008 / 1.2
    assert row.rtf_dense_range[0] <= row.rtf_dense <= row.rtf_dense_range[1]
    assert row.speedup_range[0] <= row.speedup <= row.speedup_range[1]


@pytest.mark.parametrize(("most_s", "counted"), [(60.0, 3), (0.0, 1)])
def test_large_models_get_fewer_runs(pair, calls, most_s, counted):
    """With no time for another round the first one counts, which else only warms up."""
    row = speed_at(*pair, FEATURES, DURATIONS_S, batch_size=3, threads=1, runs=3, most_s=most_s)
    assert row.runs == counted
    assert len(calls) == 2 * (counted if most_s == 0.0 else counted + 1)


def test_every_thread_count_has_a_setting_of_both_batch_sizes_and_the_first_are_the_headline(pair):
    result = speedup(*pair, FEATURES, DURATIONS_S, runs=1, threads=1)
    counts = [1] if os.cpu_count() == 1 else [1, os.cpu_count()]
    assert [(row.threads, row.batch_size) for row in result.settings] == [(n, size) for n in counts for size in (1, 16)]
    assert (result.batch1, result.batch16) == tuple(row.speedup for row in result.settings[:2])
    assert (result.threads, result.runs, result.n_utterances) == (1, 1, 3)
    assert result.audio_s == pytest.approx(1.2)


def test_models_take_turns_after_one_uncounted_pass_each(pair, calls):
    speed_at(*pair, FEATURES[:1], DURATIONS_S[:1], batch_size=1, runs=2, threads=1)
    assert [name for name, *_ in calls] == ["dense", "compressed"] * 3


def test_batches_hold_as_many_utterances_as_asked(pair, calls):
    speed_at(*pair, FEATURES, DURATIONS_S, batch_size=2, runs=1, threads=1)
    assert [size for _, size, *_ in calls] == [2, 1] * 4


def test_models_run_in_evaluation_mode_on_the_named_threads_and_are_left_as_they_were(pair, calls):
    pair[1].module.eval()
    threads_before = torch.get_num_threads()
    speedup(*pair, FEATURES, DURATIONS_S, runs=1, threads=1)
    assert {training for _, _, training, _ in calls} == {False}
    assert {threads for *_, threads in calls} == {1, os.cpu_count()}
    assert [model.module.training for model in pair] == [True, False]
    assert torch.get_num_threads() == threads_before


def test_a_much_narrower_recogniser_is_measured_as_faster():
    wide, narrow = (
        Las(LasConfig(hidden=hidden, decoder=hidden), Tokenizer.from_texts(["on off"], "word")) for hidden in (512, 8)
    )
    features = [torch.randn(160, 40)]
    assert speed_at(wide, narrow, features, [1.6], batch_size=1, threads=1, runs=3).speedup > 1.5
