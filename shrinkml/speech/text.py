"""The text normaliser: what counts as the same words when transcripts are compared."""

import unicodedata

NORMALISER = "shrinkml-basic/1"  # id and version; the version changes whenever any text could come out differently


def normalise(text: str) -> str:
    """`text` in lower case, its words parted by single spaces, without punctuation. Idempotent.

    Compatibility forms are unified (Unicode NFKC). Letters, combining marks and digits stay, in any script, and so do
    apostrophes within a word ("don't"); everything else parts words. Numbers, abbreviations and spelling variants
    are left as they are.
    """
    lower = unicodedata.normalize("NFKC", text).lower()
    return without_punctuation(lower)


def without_punctuation(text: str) -> str:
    """The same with upper and lower case kept."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    words = (word.strip("'") for word in kept.split())
    return " ".join(word for word in words if word)
