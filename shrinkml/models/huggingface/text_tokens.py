"""Text to token ids and back, by the tokenizer of a Hugging Face model."""

import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from shrinkml.errors import ExportError
from shrinkml.speech.spelling import Spelling, spell

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what bytes become that are no whole letter


class Text:
    """A tokenizer that is fed each text in the form that it knows best; shared by copies, never changed.

    Attributes:
        tokenizer: of transformers.
        kept: the id that each token had before the vocabulary was trimmed; None where it never was.
    """

    def __init__(self, tokenizer: Any, *, kept: tuple[int, ...] | None = None) -> None:
        self.tokenizer = tokenizer
        self.kept = kept

    def __deepcopy__(self, memo: dict[int, Any]) -> "Text":
        return self

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` alone: a prompt and the end are for generation to say."""
        return self.spelling(text).tokens

    def spelling(self, text: str) -> Spelling:
        """The same, and how many of them are unknown."""
        return spell(text, self._encode, self.tokenizer.unk_token_id)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out, repeated ones kept."""
        known = [token for token in ids if token < len(self.tokenizer)]  # networks can have more outputs than that
        # CTC tokenizers would merge repetitions otherwise, which has been done by then; others ignore the word.
        text: str = self.tokenizer.decode(known, skip_special_tokens=True, group_tokens=False)
        return text.strip()

    def pieces(self, n: int) -> tuple[str, ...]:
        """The text of each of the first `n` tokens, with the space before it where there is one; "" of special ones.

        Side by side they are what `decode` gives. Bytes that are no whole letter are lone surrogates, as Python's error
        handler "surrogateescape" makes them: side by side they may become one.

        Raises:
            ExportError: none of them is text by itself, which would show where spaces are.
        """
        texts = ((token, self.decode([token])) for token in range(n) if token not in self.special_ids)
        ordinary = next((token for token, text in texts if text and REPLACEMENT not in text), None)
        if ordinary is None:
            raise ExportError(f"none of the tokenizer's first {n} tokens is text by itself; one at least must be")
        head, both = self.decode([ordinary]), self.decode([ordinary, ordinary])
        tail = len(both) - len(head)
        between = (self.decode([ordinary, token, ordinary])[len(head) : -tail] for token in range(n))
        return tuple(self._split(token) if REPLACEMENT in piece else piece for token, piece in enumerate(between))

    def _split(self, token: int) -> str:
        """The bytes of `token`, a token of byte-level BPE or one that stands for a byte."""
        name: str = self.tokenizer.convert_ids_to_tokens(token)
        if byte := re.fullmatch("<0x([0-9A-F]{2})>", name):
            return bytes.fromhex(byte[1]).decode("utf-8", "surrogateescape")
        known = _bytes_by_letter()
        return bytes(known[letter] for letter in name if letter in known).decode("utf-8", "surrogateescape")

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Tokens that stand for no text."""
        return frozenset(self.tokenizer.all_special_ids)


@cache
def _bytes_by_letter() -> dict[str, int]:
    """Letter -> the byte that byte-level BPE writes so."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}
