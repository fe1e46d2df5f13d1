"""Speed is measured in turns, on the whole recogniser, and leaves the models as they were."""

import os
import time

import pytest
import torch
from torch import nn

from shrinkml.measure.speed import speedup
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.las.tokenizer import Tokenizer


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
    assert 2.0 < result["batch1"] < 5.0  # 8 ms against 2 ms; a sleep may last longer than asked, never shorter
    assert 2.0 < result["batch16"] < 5.0


def test_real_time_factors_are_processing_time_over_audio_time(pair):
    row = speedup(*pair, FEATURES, DURATIONS_S, batch_sizes=(1,), runs=3)["settings"][0]
    assert row["rtf_dense"] >= 3 * 0.008 / 1.2
    assert row["rtf_dense_range"][0] <= row["rtf_dense"] <= row["rtf_dense_range"][1]
    assert row["speedup_range"][0] <= row["speedup"] <= row["speedup_range"][1]


def test_models_take_turns_after_one_uncounted_pass_each(pair, calls):
    speedup(*pair, FEATURES[:1], DURATIONS_S[:1], batch_sizes=(1,), runs=2, threads=os.cpu_count())
    assert [name for name, *_ in calls] == ["dense", "compressed"] * 3


def test_batches_hold_as_many_utterances_as_asked(pair, calls):
    speedup(*pair, FEATURES, DURATIONS_S, batch_sizes=(2,), runs=1, threads=os.cpu_count())
    assert [size for _, size, *_ in calls] == [2, 1] * 4


def test_models_run_in_evaluation_mode_on_the_named_threads_and_are_left_as_they_were(pair, calls):
    pair[1].module.eval()
    threads_before = torch.get_num_threads()
    speedup(*pair, FEATURES, DURATIONS_S, batch_sizes=(1,), runs=1, threads=1)
    assert {training for _, _, training, _ in calls} == {False}
    assert {threads for *_, threads in calls} == {1, os.cpu_count()}
    assert [model.module.training for model in pair] == [True, False]
    assert torch.get_num_threads() == threads_before


def test_a_much_narrower_recogniser_is_measured_as_faster():
    wide, narrow = (
        Las(LasConfig(hidden=hidden, decoder=hidden), Tokenizer.from_texts(["on off"], "word")) for hidden in (512, 8)
    )
    features = [torch.randn(160, 40)]
    assert speedup(wide, narrow, features, [1.6], batch_sizes=(1,), runs=3)["batch1"] > 1.5
