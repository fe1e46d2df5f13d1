import numpy as np
import pytest

from shrinkml.speech.long_audio import LEAST_PART, cut_where_quiet

RATE = 1000


@pytest.fixture
def speech():
    """20 s of noise with pauses of 0.4 s around 3.5, 4.5, 9 and 12.2 s."""
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * RATE).astype(np.float32)
    for pause_s in (3.5, 4.5, 9.0, 12.2):
        noise[round((pause_s - 0.2) * RATE) : round((pause_s + 0.2) * RATE)] *= 0.01
    return noise


def test_the_parts_are_the_recording(speech):
    parts = cut_where_quiet(speech, RATE, 6.0)
    assert np.array_equal(np.concatenate(parts), speech)
    assert all(LEAST_PART * 6 * RATE <= len(part) <= 6 * RATE for part in parts[:-1])
    assert 0 < len(parts[-1]) <= 6 * RATE


def test_a_cut_is_in_the_middle_of_a_pause(speech):
    ends = np.cumsum([len(part) for part in cut_where_quiet(speech, RATE, 6.0)]) / RATE
    assert min(abs(ends[0] - 3.5), abs(ends[0] - 4.5)) < 0.15
    assert ends[1] == pytest.approx(9.0, abs=0.15)
    assert ends[2] == pytest.approx(12.2, abs=0.15)


@pytest.mark.parametrize("longest_s", [None, 20.0, 30.0])
def test_what_is_heard_at_once_is_not_cut(speech, longest_s):
    (whole,) = cut_where_quiet(speech, RATE, longest_s)
    assert whole is speech


def test_digital_silence_is_cut_too():
    assert [len(part) for part in cut_where_quiet(np.zeros(2500, np.float32), RATE, 1.0)][-1] <= 1000
