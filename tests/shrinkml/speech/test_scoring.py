import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkml.errors import ScoringError
from shrinkml.speech.normalisers import NORMALISERS, normaliser_called
from shrinkml.speech.scoring import MIN_GROUPS, SCORER, score, wer_difference, word_errors
from shrinkml.speech.text import NORMALISER

WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join)


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's recurrence, written out."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != heard))
    return row[-1]


def test_the_three_kinds_of_error_are_told_apart():
    counts = word_errors(["a b c", "a b c", "a b c", "a b c"], ["a b c", "a x c", "a c", "a b b c"])
    assert counts.substitutions.tolist() == [0, 1, 0, 0]
    assert counts.deletions.tolist() == [0, 0, 1, 0]
    assert counts.insertions.tolist() == [0, 0, 0, 1]
    assert counts.n_words.tolist() == [3, 3, 3, 3]


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS | st.just("")), min_size=1, max_size=5))
def test_errors_are_the_edit_distance(pairs):
    references, hypotheses = zip(*pairs, strict=True)
    expected = [edit_distance(r.split(), h.split()) for r, h in pairs]
    counts = word_errors(references, hypotheses)
    assert counts.errors.tolist() == expected
    assert counts.wer == pytest.approx(sum(expected) / sum(len(r.split()) for r in references))


def test_the_wer_is_the_corpus_not_the_mean_of_the_utterances():
    result = score(["one", "a b c d e f g h i"], ["two", "a b c d e f g h i"])
    assert result.wer == pytest.approx(1 / 10)
    assert (result.substitutions, result.deletions, result.insertions) == (1, 0, 0)
    assert (result.n_utterances, result.n_words) == (2, 10)


def test_insertions_may_take_the_wer_above_one():
    assert score(["a"], ["a b c d"]).wer == 3.0


def test_the_cer_counts_characters_and_spaces():
    assert score(["ab cd"], ["ab xd"]).cer == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("Lights on, please.", "Lights on, please.", 0.0),
        ("Lights on, please.", "lights on, please", 2 / 3),
        ("Lights on", "lights on", 1 / 2),
        ("lights on don't", "Lights on don't", None),
        ("LIGHTS ON", "lights on", None),
    ],
)
def test_the_formatted_wer_keeps_case_and_punctuation_where_references_have_them(reference, hypothesis, expected):
    found = score([reference], [hypothesis])
    assert found.wer == 0.0
    assert found.formatted_wer == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("name", NORMALISERS)
def test_any_normaliser_may_be_asked_for_and_is_named(name):
    assert score(["on"], ["on"], normaliser=name).normaliser == normaliser_called(name).id
    assert word_errors(["on"], ["on"], normaliser=name).wer == 0.0


def test_the_normaliser_decides_what_is_an_error():
    assert word_errors(["It's 22."], ["it is twenty two"], normaliser="whisper-english-no-spelling").wer == 0.0
    assert word_errors(["On."], ["on"], normaliser="none").wer == 1.0


def test_both_sides_are_normalised():
    assert score(["Lights ON, please!"], ["lights on please"]).wer == 0.0


def test_a_score_names_what_made_it():
    result = score(["a"], ["a"], seed=7)
    assert (result.normaliser, result.scorer, result.seed) == (NORMALISER, SCORER, 7)
    assert SCORER.startswith("jiwer/4")


def test_a_search_gets_the_same_wer_as_the_report():
    references, hypotheses = ["a b", "c d", "e f g"], ["a b", "c x", "e f"]
    assert word_errors(references, hypotheses).wer == score(references, hypotheses).wer


def corpus(n: int, error_rate: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """`n` one-word references, each recognised wrongly with probability `error_rate`."""
    wrong = np.random.default_rng(seed).random(n) < error_rate
    return ["a"] * n, ["b" if one else "a" for one in wrong]


def test_the_interval_is_the_binomial_one_when_utterances_are_single_words():
    references, hypotheses = corpus(1000, 0.1)
    result = score(references, hypotheses)
    half = 1.96 * np.sqrt(result.wer * (1 - result.wer) / 1000)  # normal approximation of a binomial share
    # The ends of 2,000 resamples scatter by about a twentieth of the interval's half.
    assert result.wer_ci95 == pytest.approx((result.wer - half, result.wer + half), abs=0.2 * half)
    assert result.resampled == "utterances"


def test_the_interval_covers_the_true_rate_about_95_times_in_a_hundred():
    covered = 0
    for seed in range(60):
        low, high = score(*corpus(200, 0.2, seed)).wer_ci95
        covered += low <= 0.2 <= high
    assert covered >= 52  # 57 expected, less three standard deviations of a binomial


def test_whole_speakers_are_resampled_where_all_are_known():
    n_speakers, per_speaker = 2 * MIN_GROUPS, 20
    speakers = [f"s{i}" for i in range(n_speakers) for _ in range(per_speaker)]
    references = ["a"] * len(speakers)
    hypotheses = ["b" if i < per_speaker * 4 else "a" for i in range(len(speakers))]  # all errors from four speakers
    by_speaker, by_utterance = score(references, hypotheses, groups=speakers), score(references, hypotheses)
    assert (by_speaker.resampled, by_utterance.resampled) == ("speakers", "utterances")
    assert by_speaker.wer == by_utterance.wer == 0.25
    width, narrow = (high - low for low, high in (by_speaker.wer_ci95, by_utterance.wer_ci95))
    # n times as many independent draws make an interval sqrt(n) times as narrow.
    assert width / narrow == pytest.approx(np.sqrt(per_speaker), rel=0.15)


@pytest.mark.parametrize(
    "groups", [None, ["a"] * 20, [f"s{i % (MIN_GROUPS - 1)}" for i in range(20)], [None, *map(str, range(19))]]
)
def test_utterances_are_resampled_where_speakers_are_few_or_unknown(groups):
    assert score(["a"] * 20, ["a"] * 20, groups=groups).resampled == "utterances"


def test_the_interval_depends_on_the_seed_alone():
    references, hypotheses = corpus(1000, 0.3)
    assert score(references, hypotheses, seed=1) == score(references, hypotheses, seed=1)
    assert score(references, hypotheses, seed=1).wer_ci95 != score(references, hypotheses, seed=2).wer_ci95


class TestDifferences:
    def test_what_both_hear_wrongly_does_not_count(self):
        references, heard = corpus(1000, 0.5)
        apart, interval = wer_difference(references, heard, heard)
        assert (apart, interval) == (0.0, (0.0, 0.0))

    def test_the_interval_is_of_the_utterances_where_they_differ(self):
        references, second = corpus(1000, 0.3)
        first = ["b", *["b"] * 49, *second[50:]]
        apart, (low, high) = wer_difference(references, first, second)
        n = sum(one != other for one, other in zip(first, second, strict=True))
        assert apart == pytest.approx(n / 1000)
        half = 1.96 * np.sqrt(n) / 1000  # a rare count's: as Poisson
        assert (apart - low, high - apart) == pytest.approx((half, half), abs=0.2 * half)

    def test_speakers_are_resampled_as_in_a_score(self):
        speakers = [f"s{i}" for i in range(2 * MIN_GROUPS) for _ in range(20)]
        references, second = ["a"] * len(speakers), ["a"] * len(speakers)
        first = ["b" if i < 80 else "a" for i in range(len(speakers))]
        found = score(references, first, groups=speakers)
        assert wer_difference(references, first, second, groups=speakers) == (found.wer, found.wer_ci95)

    def test_as_many_groups_as_references_are_needed(self):
        with pytest.raises(ScoringError, match="1 groups for 2 references"):
            wer_difference(["a", "b"], ["a", "b"], ["a", "b"], groups=["x"])


def test_a_perfect_transcript_has_an_interval_of_zero():
    assert score(["a b"], ["a b"]).wer_ci95 == (0.0, 0.0)


def test_a_thousand_utterances_are_scored_in_well_under_a_second():
    references = ["turn on the kitchen lights"] * 1000
    start = time.process_time()
    score(references, ["turn on kitchen lights"] * 1000)
    assert time.process_time() - start < 0.8  # 0.05 s measured


@pytest.mark.parametrize("judge", [score, word_errors])
class TestUnusableTexts:
    def test_lists_of_different_lengths_are_refused(self, judge):
        with pytest.raises(ScoringError, match="2 references for 1 hypotheses; they must pair up"):
            judge(["a", "b"], ["a"])

    def test_nothing_to_score_is_refused(self, judge):
        with pytest.raises(ScoringError, match="no references to score"):
            judge([], [])

    def test_references_without_words_are_refused(self, judge):
        with pytest.raises(ScoringError, match=r"2 references hold no words, the first at index 1, '\.\.\.'; leave"):
            judge(["a", "...", ""], ["a", "b", "c"])


def test_as_many_groups_as_references_are_needed():
    with pytest.raises(ScoringError, match="1 groups for 2 references"):
        score(["a", "b"], ["a", "b"], groups=["x"])
