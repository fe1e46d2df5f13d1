"""Text files: one text in each line."""

from pathlib import Path

from shrinkml.errors import ConfigError
from shrinkml.regular_file import read_regular


def read_texts(path: Path, *, most_bytes: int | None = None) -> list[str]:
    """The lines of the text file `path`, of at most so many bytes, that are not empty.

    Raises:
        ConfigError: there is none, it is no text, it is empty, or larger than allowed.
    """
    try:
        lines = read_regular(path, most_bytes=most_bytes).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as texts: {error}; allowed: a text file in UTF-8") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ConfigError(f"{path} holds no text; allowed: a text file with words that the model must write")
    return texts
