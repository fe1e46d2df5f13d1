"""Spelling of a text: the form of it that a vocabulary knows best, as tokens."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shrinkml.speech.text import without_punctuation


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text in the tokens of a vocabulary.

    Attributes:
        tokens: their ids.
        n_unknown: of them, those that stand for what the vocabulary does not hold.
    """

    tokens: list[int]
    n_unknown: int


def spell(text: str, encode: Callable[[str], list[int]], unknown: int | None) -> Spelling:
    """The tokens of the form of `text` with the fewest unknown ones; of forms with equally few, the first.

    The forms are, in this order: the text as it is, in lower case, in upper case; the same three without punctuation;
    and the last two without accents. A vocabulary of lower-case words so reads "TURN ON!" as "turn on", and what fits
    as it is stays as it is.

    Args:
        text: any.
        encode: gives the token ids of a text.
        unknown: the token of what is not in the vocabulary; None where there is none, and the text stays as it is.
    """
    best = _spelled(text, encode, unknown)
    for form in _other_forms(text):
        if best.n_unknown == 0:
            break
        best = min(best, _spelled(form, encode, unknown), key=lambda spelling: spelling.n_unknown)
    return best


def _spelled(text: str, encode: Callable[[str], list[int]], unknown: int | None) -> Spelling:
    tokens = encode(text)
    return Spelling(tokens, tokens.count(unknown) if unknown is not None else 0)


def _other_forms(text: str) -> Iterator[str]:
    yield text.lower()
    yield text.upper()
    if words := without_punctuation(text):  # of punctuation alone, nothing would be left to know
        yield words
        yield words.lower()
        yield words.upper()
        plain = "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
        yield plain.lower()
        yield plain.upper()
