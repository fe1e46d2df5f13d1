"""Recognisers of any family with fewer tokens."""

from collections.abc import Sequence

from shrinkml.errors import ConfigError
from shrinkml.models.families import FAMILIES
from shrinkml.models.family import TokenRanking, Trimming
from shrinkml.models.protocol import AsrModel
from shrinkml.tables import look_up


def rank_vocabulary(model: AsrModel, texts: Sequence[str]) -> TokenRanking:
    """The order in which `trim_vocabulary` keeps the tokens of `model`: those of all words of `texts`, then others.

    Raises:
        ConfigError: its vocabulary cannot be trimmed.
    """
    return _trimming(model).rank(model, texts)


def trim_vocabulary(model: AsrModel, ranking: TokenRanking, n_tokens: int) -> AsrModel:
    """A copy of `model` with `n_tokens` tokens, the first of `ranking`.

    Raises:
        ConfigError: its vocabulary cannot be trimmed, or not so far.
    """
    return _trimming(model).trim(model, ranking, n_tokens)


def least_vocabulary(model: AsrModel, texts: Sequence[str]) -> int:
    """The fewest tokens that `trim_vocabulary` takes.

    Raises:
        ConfigError: its vocabulary cannot be trimmed.
    """
    return _trimming(model).least(model, texts)


def vocabulary_size(model: AsrModel) -> int:
    """The tokens that `model` gives scores of.

    Raises:
        ConfigError: its vocabulary cannot be trimmed.
    """
    return _trimming(model).size(model)


def _trimming(model: AsrModel) -> Trimming:
    trimming = look_up(FAMILIES, model.family, kind="model family").operations().trimming
    if trimming is None:
        raise ConfigError(
            f"the vocabulary of a model of family {model.family!r} cannot be trimmed; allowed: encoder-decoders of "
            "transformers with a byte-level BPE vocabulary, as Whisper's: leave it whole (vocabulary: all)"
        )
    return trimming
