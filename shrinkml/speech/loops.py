"""Transcripts that go round and round, ended after the first round.

A decoder that has lost its place writes the same words until it may write no more. The reference implementation of
Whisper finds such a text by how well it compresses, and decodes anew by chance; here it is found as soon as it repeats,
and what came before is kept: nothing is left to chance.

References:
    openai/whisper: decoding.py (compression_ratio), transcribe.py (compression_ratio_threshold). Looking at what
    repeats alone, and keeping its first round, is our own rule.
"""

import zlib
from collections.abc import Callable, Sequence

MOST_COMPRESSION = 2.4  # bytes of a text / bytes compressed, of what is still speech
ROUNDS = 3  # of a loop, at least


def before_loop(tokens: Sequence[int], text_of: Callable[[Sequence[int]], str]) -> int | None:
    """The number of `tokens` up to the end of the first round of the loop that they end in; None where in none.

    Args:
        tokens: of a transcript so far.
        text_of: tokens -> their text.
    """
    for period in range(1, len(tokens) // ROUNDS + 1):
        if tokens[-period:] != tokens[-2 * period : -period]:
            continue
        begin = len(tokens) - 2 * period
        while begin > 0 and tokens[begin - 1] == tokens[begin - 1 + period]:
            begin -= 1
        enough = len(tokens) - begin >= ROUNDS * period
        if enough and compression_ratio(text_of(tokens[begin:])) > MOST_COMPRESSION:
            return begin + period
    return None


def without_loop(tokens: Sequence[int], text_of: Callable[[Sequence[int]], str]) -> Sequence[int]:
    """`tokens` up to the end of the first round of the loop that they end in, if they do."""
    return tokens[: before_loop(tokens, text_of)]


def compression_ratio(text: str) -> float:
    """Bytes of `text` / the same compressed."""
    told = text.encode("utf-8", "surrogatepass")
    return len(told) / len(zlib.compress(told))
