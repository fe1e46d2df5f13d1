import pytest

import shrinkml
from agents.pipeline.windows.window_stage import MOST_LOSS, TAILS_S, is_harmless, shortest_tail_
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.protocol import WindowedModel


@pytest.fixture
def whisper():
    """A recogniser that learned in short windows."""
    return shrinkml.load("reference/whisper")


def test_the_shortest_tail_that_costs_next_to_nothing_is_taken(whisper, whisper_materials):
    told = []
    whole_wer = word_error_rate(whisper, whisper_materials.dev)
    trials = shortest_tail_(
        whisper, whisper_materials, whole_wer=whole_wer, on_trial=lambda trial, number: told.append((trial, number))
    )
    assert told == [(trial, number) for number, trial in enumerate(trials, 1)]
    assert whisper.window_tail_s == trials[-1].tail_s == TAILS_S[len(trials) - 1]
    assert trials[-1].wer == word_error_rate(whisper, whisper_materials.dev) <= whole_wer + MOST_LOSS
    assert not any(is_harmless(trial.wer, whole_wer) for trial in trials[:-1])


def test_where_every_tail_costs_more_the_window_stays_whole(whisper, whisper_materials):
    trials = shortest_tail_(whisper, whisper_materials, whole_wer=-1.0, on_trial=lambda trial, number: None)
    assert [trial.tail_s for trial in trials] == [tail_s for tail_s in TAILS_S if tail_s < whisper.longest_s]
    assert whisper.window_tail_s is None


def test_a_model_without_a_window_is_none_to_shorten(tiny_model_dir):
    assert not isinstance(shrinkml.load(tiny_model_dir), WindowedModel)


@pytest.mark.parametrize(("wer", "harmless"), [(0.05, True), (0.0509, True), (0.0511, False), (0.04, True)])
def test_a_tenth_of_a_point_is_harmless(wer, harmless):
    assert is_harmless(wer, 0.05) is harmless
