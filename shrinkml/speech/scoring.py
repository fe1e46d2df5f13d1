"""Word and character error rates over a corpus, aligned by jiwer, with a bootstrap interval.

References:
    Bisani and Ney 2004, Bootstrap estimates for confidence intervals in ASR performance evaluation, ICASSP.
    Liu, Peng et al. 2020, Statistical testing on ASR performance via blockwise bootstrap, arXiv:1912.09508
    (resampling whole speakers, because one speaker's errors are not independent).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import jiwer
import numpy as np

from shrinkml.errors import ScoringError
from shrinkml.speech.normalisers import DEFAULT, Normaliser, normaliser_called
from shrinkml.speech.text import without_punctuation

SCORER = f"jiwer/{version('jiwer')}"
N_RESAMPLES = 2000
MIN_GROUPS = 8  # with fewer speakers, an interval over speakers would rest on a handful of values


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors of each utterance.

    Attributes:
        substitutions: [utterances].
        deletions: [utterances].
        insertions: [utterances].
        n_words: [utterances], words of the reference.
    """

    substitutions: np.ndarray
    deletions: np.ndarray
    insertions: np.ndarray
    n_words: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """[utterances], all three kinds together."""
        errors: np.ndarray = self.substitutions + self.deletions + self.insertions
        return errors

    @property
    def wer(self) -> float:
        """Word error rate over the corpus: errors per reference word, as a fraction; insertions may take it above 1."""
        return float(self.errors.sum() / self.n_words.sum())


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of hypotheses against references, over the whole corpus.

    Attributes:
        wer: word error rate as a fraction.
        wer_ci95: bootstrap 95 % interval of `wer`.
        cer: character error rate as a fraction, spaces counted.
        formatted_wer: word error rate with case and punctuation kept; None where the references have neither.
        substitutions: words.
        deletions: words.
        insertions: words.
        n_utterances: utterances scored.
        n_words: reference words.
        resampled: what the bootstrap drew: "speakers" where all are known and there are at least MIN_GROUPS.
        normaliser: id and version of the text normaliser.
        scorer: name and version of the scoring library.
        seed: of the bootstrap.
    """

    wer: float
    wer_ci95: tuple[float, float]
    cer: float
    formatted_wer: float | None
    substitutions: int
    deletions: int
    insertions: int
    n_utterances: int
    n_words: int
    resampled: Literal["utterances", "speakers"]
    normaliser: str
    scorer: str
    seed: int


def score(
    references: Sequence[str],
    hypotheses: Sequence[str],
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    normaliser: str = DEFAULT,
) -> Score:
    """The score of `hypotheses`, both sides normalised first.

    Args:
        references: what was said; none may be empty once normalised.
        hypotheses: what was recognised, in the same order.
        groups: the speaker of each utterance, None where unknown.
        seed: of the bootstrap.
        normaliser: name in NORMALISERS.

    Raises:
        ScoringError: as `word_errors`; or `groups` of another length.
    """
    blocks = _blocks(groups, len(references))
    clean = normaliser_called(normaliser)
    wanted, heard = _normalised(references, hypotheses, clean)
    counts = _count_words(wanted, heard)
    return Score(
        wer=counts.wer,
        wer_ci95=_interval(_sums(counts.errors, blocks), _sums(counts.n_words, blocks), seed),
        cer=float(jiwer.process_characters(wanted, heard).cer),
        formatted_wer=_formatted_wer(references, hypotheses),
        substitutions=int(counts.substitutions.sum()),
        deletions=int(counts.deletions.sum()),
        insertions=int(counts.insertions.sum()),
        n_utterances=len(references),
        n_words=int(counts.n_words.sum()),
        resampled="utterances" if blocks is None else "speakers",
        normaliser=clean.id,
        scorer=SCORER,
        seed=seed,
    )


def wer_difference(
    references: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    normaliser: str = DEFAULT,
) -> tuple[float, tuple[float, float]]:
    """The WER of `first` above that of `second`, as a fraction, and its bootstrap 95 % interval.

    Both are resampled together: what the utterances share does not count. For the arguments see `score`.

    Raises:
        ScoringError: as `score`.
    """
    blocks = _blocks(groups, len(references))
    one, other = (word_errors(references, heard, normaliser=normaliser) for heard in (first, second))
    apart, n_words = _sums(one.errors - other.errors, blocks), _sums(one.n_words, blocks)
    return one.wer - other.wer, _interval(apart, n_words, seed)


def word_errors(references: Sequence[str], hypotheses: Sequence[str], *, normaliser: str = DEFAULT) -> WordErrors:
    """The word errors of each utterance, both sides normalised first: all that a search needs of `score`.

    Raises:
        ScoringError: no references, not as many hypotheses, or a reference without words.
        UnknownNameError: no such normaliser.
    """
    return _count_words(*_normalised(references, hypotheses, normaliser_called(normaliser)))


def _formatted_wer(references: Sequence[str], hypotheses: Sequence[str]) -> float | None:
    """The WER of texts as they stand; None where the references have no punctuation and one case alone."""
    every = " ".join(" ".join(references).split())
    if without_punctuation(every) == unicodedata.normalize("NFKC", every) and every in (every.lower(), every.upper()):
        return None
    return word_errors(references, hypotheses, normaliser="none").wer


def _normalised(
    references: Sequence[str], hypotheses: Sequence[str], normalise: Normaliser
) -> tuple[list[str], list[str]]:
    if len(references) != len(hypotheses):
        raise ScoringError(f"{len(references)} references for {len(hypotheses)} hypotheses; they must pair up")
    if not references:
        raise ScoringError("no references to score; an error rate needs at least one")
    wanted = [normalise(text) for text in references]
    empty = [i for i, text in enumerate(wanted) if not text]
    if empty:
        first = f"index {empty[0]}, {references[empty[0]]!r}"
        raise ScoringError(f"{len(empty)} references hold no words, the first at {first}; leave them out")
    return wanted, [normalise(text) for text in hypotheses]


def _count_words(wanted: list[str], heard: list[str]) -> WordErrors:
    aligned = jiwer.process_words(wanted, heard)
    counts = [_count(chunks) for chunks in aligned.alignments]
    substitutions, deletions, insertions = np.array(counts, dtype=np.int64).T
    return WordErrors(substitutions, deletions, insertions, np.array([len(words) for words in aligned.references]))


def _count(chunks: Sequence[jiwer.AlignmentChunk]) -> tuple[int, int, int]:
    """(substitutions, deletions, insertions) of one alignment."""
    counts = {"substitute": 0, "delete": 0, "insert": 0, "equal": 0}
    for chunk in chunks:
        counts[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return counts["substitute"], counts["delete"], counts["insert"]


def _blocks(groups: Sequence[str | None] | None, n: int) -> np.ndarray | None:
    """[utterances] the number of each one's speaker; None where the `n` are to be resampled one by one."""
    if groups is not None and len(groups) != n:
        raise ScoringError(f"{len(groups)} groups for {n} references; one group per reference is needed")
    if groups is None or any(group is None for group in groups):
        return None
    names, blocks = np.unique(np.array(groups, dtype=str), return_inverse=True)
    return blocks if len(names) >= MIN_GROUPS else None


def _sums(values: np.ndarray, blocks: np.ndarray | None) -> np.ndarray:
    """[blocks] the sum of `values` in each block."""
    return values if blocks is None else np.bincount(blocks, weights=values)


def _interval(errors: np.ndarray, n_words: np.ndarray, seed: int) -> tuple[float, float]:
    """The middle 95 % of the WERs of N_RESAMPLES corpora drawn, with replacement, from these blocks."""
    generator = np.random.default_rng(seed)
    draws = (generator.integers(len(errors), size=len(errors)) for _ in range(N_RESAMPLES))
    wers = [errors[draw].sum() / n_words[draw].sum() for draw in draws]
    low, high = np.quantile(wers, [0.025, 0.975])
    return float(low), float(high)
