"""The vocabularies that a job may trim its model to: their sizes, and the texts whose words they keep whole."""

from collections.abc import Sequence
from pathlib import Path

from agents.pipeline.materials import Materials
from shrinkml.errors import ConfigError
from shrinkml.job import JobSpec
from shrinkml.models.trimmed import least_vocabulary, vocabulary_size
from shrinkml.speech.text_lines import read_texts

LADDER = (1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8)  # shares of the original's tokens that are tried where a job says auto


def texts_of(materials: Materials, spec: JobSpec) -> list[str]:
    """The texts whose words stay whole: transcripts of train, and the job's own.

    Those of dev are left out: it could not tell what words lose whose tokens are gone.

    Raises:
        ConfigError: the job's file of texts cannot be read.
    """
    return [*materials.texts, *(read_texts(Path(spec.vocabulary_texts)) if spec.vocabulary_texts is not None else ())]


def sizes_to_try(materials: Materials, spec: JobSpec, texts: Sequence[str]) -> list[int]:
    """The numbers of tokens that the job asks for, descending: one, or where it says auto a ladder.

    Raises:
        ConfigError: the vocabulary cannot be trimmed, or the texts need more tokens than that.
    """
    least, original = least_vocabulary(materials.model, texts), vocabulary_size(materials.model)
    if isinstance(spec.vocabulary, int):
        if not least <= spec.vocabulary <= original:
            raise ConfigError(
                f"vocabulary is {spec.vocabulary}; allowed: {least} to {original} tokens, for the words of train and "
                "vocabulary_texts, the bytes and the marks need as many"
            )
        return [spec.vocabulary]
    return sorted({max(least, round(share * original)) for share in LADDER}, reverse=True)
