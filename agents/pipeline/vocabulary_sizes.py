"""The vocabularies that a job may trim its model to: their sizes, and the texts whose words they keep whole."""

from collections.abc import Sequence
from pathlib import Path

from agents.pipeline.materials import Materials
from shrinkml.errors import ConfigError
from shrinkml.job import JobSpec
from shrinkml.models.trimmed import least_vocabulary, vocabulary_size

LADDER = (1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8)  # shares of the original's tokens that are tried where a job says auto


def texts_of(materials: Materials, spec: JobSpec) -> list[str]:
    """The texts whose words stay whole: transcripts of train and dev, and the job's own.

    Raises:
        ConfigError: the job's file of texts cannot be read.
    """
    return [*materials.texts, *(read_texts(Path(spec.vocabulary_texts)) if spec.vocabulary_texts is not None else ())]


def read_texts(path: Path) -> list[str]:
    """The lines of the text file `path` that are not empty.

    Raises:
        ConfigError: there is none, it is no text, or it is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as texts: {error}; allowed: a text file in UTF-8") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ConfigError(f"{path} holds no text; allowed: a text file with words that the model must write")
    return texts


def sizes_to_try(materials: Materials, spec: JobSpec, texts: Sequence[str]) -> list[int]:
    """The numbers of tokens that the job asks for, descending: one, or where it says auto a ladder.

    Raises:
        ConfigError: the vocabulary cannot be trimmed, or the texts need more tokens than that.
    """
    least, original = least_vocabulary(materials.model, texts), vocabulary_size(materials.model)
    if isinstance(spec.vocabulary, int):
        if not least <= spec.vocabulary <= original:
            raise ConfigError(
                f"vocabulary is {spec.vocabulary}; allowed: {least} to {original} tokens, for the words of train, dev "
                "and vocabulary_texts, the bytes and the marks need as many"
            )
        return [spec.vocabulary]
    return sorted({max(least, round(share * original)) for share in LADDER}, reverse=True)
