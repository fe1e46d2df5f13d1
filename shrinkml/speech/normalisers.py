"""The table of text normalisers, which say what counts as the same words in an error rate.

References:
    Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, arXiv:2212.04356, appendix C
    (Whisper's normalisers).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from shrinkml.extras import needs
from shrinkml.speech.text import NORMALISER, normalise
from shrinkml.tables import look_up

DEFAULT = "shrinkml-basic"


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A text normaliser.

    Attributes:
        id: its name and version; whatever it makes of any text, it is the same wherever the id is.
        clean: gives what is compared of a text.
    """

    id: str
    clean: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """The words of `text`, parted by single spaces."""
        return " ".join(self.clean(text).split())


def _own() -> Normaliser:
    return Normaliser(NORMALISER, normalise)


def _whisper_basic() -> Normaliser:
    with needs("Whisper's normaliser"):
        from transformers.models.whisper.english_normalizer import BasicTextNormalizer
    return Normaliser(f"whisper-basic/transformers-{version('transformers')}", BasicTextNormalizer())


def _whisper_english() -> Normaliser:
    with needs("Whisper's normaliser"):
        from transformers.models.whisper.english_normalizer import EnglishTextNormalizer
    # Its map of British spellings to American ones comes with models (normalizer.json), not with transformers. Figures
    # must not depend on which model is measured, so that there is none here, and the name says so.
    found = EnglishTextNormalizer(english_spelling_mapping={})
    return Normaliser(f"whisper-english-no-spelling/transformers-{version('transformers')}", found)


def _none() -> Normaliser:
    return Normaliser("none/1", str)


# Name -> what makes it. transformers is imported by what needs it, when it is used.
NORMALISERS: dict[str, Callable[[], Normaliser]] = {
    DEFAULT: _own,
    "whisper-basic": _whisper_basic,
    "whisper-english-no-spelling": _whisper_english,
    "none": _none,
}


@cache
def normaliser_called(name: str) -> Normaliser:
    """The normaliser `name`.

    Raises:
        UnknownNameError: there is none of that name.
        MissingPackageError: it needs an extra that is not installed.
    """
    return look_up(NORMALISERS, name, kind="normaliser")()
