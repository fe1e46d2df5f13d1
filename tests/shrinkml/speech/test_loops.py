import pytest

from shrinkml.speech.loops import MOST_COMPRESSION, before_loop, compression_ratio, without_loop

SENTENCE = ["The", " fact", " is", " she", "'s", " feeling", " rather", " seedy", ",", " poor", " child", "."]


def rounds(words, n_tokens):
    """`words` again and again, `n_tokens` in all."""
    return (words * n_tokens)[:n_tokens]


@pytest.mark.parametrize("before", [[], [" He", " rose"]])
@pytest.mark.parametrize("period", [1, 2, 3, 12])
def test_a_loop_ends_after_its_first_round(period, before):
    tokens = before + rounds(SENTENCE[:period], 60)
    assert before_loop(tokens, "".join) == len(before) + period
    assert without_loop(tokens, "".join) == before + SENTENCE[:period]


def test_it_is_found_before_a_round_is_whole():
    assert before_loop(rounds(SENTENCE, 4 * 12 + 5), "".join) == 12


def test_what_is_said_twice_is_speech():
    tokens = SENTENCE * 2
    assert before_loop(tokens, "".join) is None
    assert without_loop(tokens, "".join) == tokens


def test_a_word_said_a_few_times_is_speech():
    assert without_loop([" no"] * 6, "".join) == [" no"] * 6
    assert without_loop([" no"] * 40, "".join) == [" no"]


def test_what_came_after_a_loop_is_speech():
    tokens = [*SENTENCE * 6, " She", " sighed"]
    assert without_loop(tokens, "".join) == tokens


def test_nothing_is_no_loop():
    assert without_loop([], "".join) == []


def test_speech_is_far_less_compressible_than_a_loop():
    text = "he had written a number of books himself among them a history of dancing a history of costume a key to"
    assert compression_ratio(text) < 1.6 < MOST_COMPRESSION < compression_ratio("".join(SENTENCE * 6))
    assert compression_ratio("") == 0
