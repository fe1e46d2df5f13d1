"""Text to token ids and back, in words or characters."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from shrinkml.errors import CheckpointError
from shrinkml.speech.spelling import Spelling, spell

Unit = Literal["word", "char"]

BLANK, END, UNKNOWN = 0, 1, 2  # CTC's blank (never a target); start and end of a transcript; out of vocabulary
SPECIAL = ("<blank>", "<end>", "<unk>")


class Tokenizer:
    """A closed vocabulary of words or characters.

    Attributes:
        unit: what a token is.
        vocabulary: token of every id; the first three are SPECIAL.
    """

    def __init__(self, vocabulary: Sequence[str], unit: Unit) -> None:
        if tuple(vocabulary[: len(SPECIAL)]) != SPECIAL or len(set(vocabulary)) != len(vocabulary):
            raise CheckpointError(f"a vocabulary starts with {', '.join(SPECIAL)} and holds no token twice")
        if unit not in get_args(Unit):
            raise CheckpointError(f"unit is {unit!r}; allowed: {', '.join(get_args(Unit))}")
        self.unit = unit
        self.vocabulary = tuple(vocabulary)
        self._ids = {token: index for index, token in enumerate(self.vocabulary)}

    @classmethod
    def from_texts(cls, texts: Iterable[str], unit: Unit) -> "Tokenizer":
        """The vocabulary of all tokens in `texts`, sorted."""
        tokens = {token for text in texts for token in _split(text, unit)}
        return cls((*SPECIAL, *sorted(tokens)), unit)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` in the form that the vocabulary knows best, without the end."""
        return self.spelling(text).tokens

    def spelling(self, text: str) -> Spelling:
        """The same, and how many of them are unknown."""
        return spell(text, self._encode, UNKNOWN)

    def _encode(self, text: str) -> list[int]:
        return [self._ids.get(token, UNKNOWN) for token in _split(text, self.unit)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, up to the first END; blanks are skipped."""
        tokens = []
        for index in ids:
            if index == END:
                break
            if index != BLANK:
                tokens.append(self.vocabulary[index])
        return (" " if self.unit == "word" else "").join(tokens).strip()


def _split(text: str, unit: Unit) -> list[str]:
    return text.split() if unit == "word" else list(" ".join(text.split()))
