"""The vocabulary of a byte-level byte-pair encoding: which tokens a text needs, and which merges lead to them.

An encoder joins the pair of lowest rank until no merge applies. One that knows fewer merges, in the same order, does
the same wherever all merges that the text took are left: the lowest of all is then also the lowest of those left.

References:
    Sennrich et al. 2016, Neural machine translation of rare words with subword units, arXiv:1508.07909.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Self

Merge = tuple[str, str]


class BytePairs:
    """Tokens and merges, in order of their ranks.

    Attributes:
        vocabulary: token -> id.
        merges: pairs of tokens whose join is a token.
        atoms: tokens that no merge makes: the bytes, and marks.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[Merge]) -> None:
        self.vocabulary = vocabulary
        self.merges = tuple(merges)
        self._ranks = {merge: rank for rank, merge in enumerate(self.merges)}
        self._origins: dict[str, Merge] = {}
        for left, right in self.merges:
            self._origins.setdefault(left + right, (left, right))
        self.atoms = frozenset(vocabulary.keys() - self._origins.keys())

    @classmethod
    def of(cls, model: Mapping[str, object]) -> Self:
        """The vocabulary of `model`, the part "model" of a tokenizer.json."""
        vocabulary: Mapping[str, int] = model["vocab"]  # type: ignore[assignment]
        merges: Iterable[Sequence[str]] = model["merges"]  # type: ignore[assignment]
        return cls(vocabulary, [(left, right) for left, right in merges])

    def steps(self, word: str) -> set[str]:
        """Every token that stands somewhere on the way from the letters of `word` to its tokens, those included."""
        pieces = list(word)
        seen = {*pieces}
        while pairs := [pair for pair in pairwise(pieces) if pair in self._ranks]:
            pieces = _joined(pieces, min(pairs, key=self._ranks.__getitem__))
            seen.update(pieces)
        return seen & self.vocabulary.keys()

    def with_parts(self, tokens: Iterable[str]) -> set[str]:
        """`tokens`, and all those that they are merged from."""
        found: set[str] = set()
        left = list(tokens)
        while left:
            token = left.pop()
            if token not in found:
                found.add(token)
                left.extend(self._origins.get(token, ()))
        return found

    def filled(self, needed: Iterable[str], n_tokens: int, order: Iterable[str]) -> set[str]:
        """At most `n_tokens` tokens: the atoms, those `needed`, and the first of `order`, all with their parts.

        Args:
            needed: with all their parts.
            n_tokens: at least as many as those and the atoms.
            order: other tokens; one whose parts do not fit in is passed over.
        """
        kept = self.with_parts({*self.atoms, *needed})
        for token in order:
            if len(kept) >= n_tokens:
                break
            more = self.with_parts([token]) - kept
            if len(kept) + len(more) <= n_tokens:
                kept |= more
        return kept

    def merges_among(self, kept: Iterable[str]) -> list[Merge]:
        """The merges that join two of the tokens `kept` to a third, in order."""
        known = {*kept}
        return [(left, right) for left, right in self.merges if {left, right, left + right} <= known]


def _joined(pieces: list[str], merge: Merge) -> list[str]:
    """`pieces` with each pair `merge` joined, from the left."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == merge:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined
