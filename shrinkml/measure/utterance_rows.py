"""The errors of each utterance, as rows for a file: what was said, what was heard, and how they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shrinkml.speech.normalisers import normaliser_called
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """An utterance as a recogniser heard it.

    Attributes:
        audio: the file.
        reference: what was said.
        hypothesis: what was heard.
        normalised_reference: the words that are compared.
        normalised_hypothesis: the same of what was heard.
        substitutions: words.
        deletions: words.
        insertions: words.
    """

    audio: str
    reference: str
    hypothesis: str
    normalised_reference: str
    normalised_hypothesis: str
    substitutions: int
    deletions: int
    insertions: int


def utterance_rows(utterances: Sequence[Utterance], heard: Sequence[str], normaliser: str) -> Iterator[UtteranceRow]:
    """A row of each of `utterances`, in their order.

    Args:
        utterances: what was said.
        heard: a transcript of each.
        normaliser: name in NORMALISERS.

    Raises:
        ScoringError: as `word_errors`.
    """
    clean = normaliser_called(normaliser)
    errors = word_errors([utterance.text for utterance in utterances], heard, normaliser=normaliser)
    for i, (utterance, hypothesis) in enumerate(zip(utterances, heard, strict=True)):
        yield UtteranceRow(
            audio=str(utterance.audio),
            reference=utterance.text,
            hypothesis=hypothesis,
            normalised_reference=clean(utterance.text),
            normalised_hypothesis=clean(hypothesis),
            substitutions=int(errors.substitutions[i]),
            deletions=int(errors.deletions[i]),
            insertions=int(errors.insertions[i]),
        )
