"""The text normaliser of our own: what counts as the same words when transcripts are compared.

References:
    The Unicode Standard, section 3.13, D146: compatibility caseless matching.
"""

import re
import unicodedata

NORMALISER = "shrinkml-basic/2"  # id and version; the version changes whenever any text could come out differently

# What is typed or printed for an apostrophe, some of it letters or accents to Unicode: grave and acute accent, modifier
# letters (prime, turned comma, apostrophe, reversed comma), Armenian and Hebrew marks, quotation marks, primes and
# saltillo.
_APOSTROPHES = re.compile(
    "[`\u00b4\u02b9\u02bb\u02bc\u02bd\u055a\u05f3\u2018\u2019\u201b\u2032\u2035\ua78b\ua78c\uff07]"
)
_DOTTED_I = re.compile("i\u0307+")  # what a capital I with a dot, as Turkish has it, becomes in lower case
_ZERO_WIDTH_SPACE = "\u200b"  # a format character, but one that parts words


def normalise(text: str) -> str:
    """`text` without case, its words parted by single spaces, without punctuation. Idempotent.

    Compatibility forms are unified (Unicode NFKC), cases folded, format characters (soft hyphens, joiners) dropped, and
    all that looks like an apostrophe is one. Letters, combining marks and digits stay, in any script, and so do
    apostrophes within a word ("don't"); everything else parts words. Numbers, abbreviations and spelling variants are
    left as they are.
    """
    folded = _unified(_unified(text).casefold()).casefold()
    return without_punctuation(_DOTTED_I.sub("i", folded))


def without_punctuation(text: str) -> str:
    """The same with upper and lower case kept."""
    plain = unicodedata.normalize("NFKC", _unified(text))
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    words = (word.strip("'") for word in kept.split())
    return " ".join(word for word in words if word)


def _unified(text: str) -> str:
    """`text` decomposed, without format characters, every apostrophe the same."""
    parted = _APOSTROPHES.sub("'", text).replace(_ZERO_WIDTH_SPACE, " ")
    if not parted.isascii():
        parted = "".join(c for c in parted if unicodedata.category(c) != "Cf")
    return _APOSTROPHES.sub("'", unicodedata.normalize("NFKD", parted))
