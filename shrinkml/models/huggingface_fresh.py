"""Recognisers of transformers with random weights and a vocabulary of words: what a recipe trains from nothing."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from shrinkml.errors import ConfigError
from shrinkml.folders import look_into
from shrinkml.models.huggingface import HuggingFaceAsr, open_stock
from shrinkml.models.huggingface_quiet import quietly
from shrinkml.tables import look_up

PAD, UNKNOWN = "<pad>", "<unk>"

Parts = tuple[Any, Any, Any]  # network, feature extractor, tokenizer


def fresh(kind: str, shape: Mapping[str, Any], texts: Iterable[str], seed: int) -> HuggingFaceAsr:
    """An untrained recogniser of the words in `texts`, whose weights depend on `seed` alone.

    Args:
        kind: a name in KINDS.
        shape: fields of the network's config (of the encoder's, where the config has one of its own) to set.
        texts: transcripts; every word in them becomes a token.
        seed: of the weights.

    Raises:
        UnknownNameError: another `kind`.
        ConfigError: no such network has this shape.
    """
    make = look_up(KINDS, kind, kind="kind of model")
    words = sorted({word for text in texts for word in text.split()})
    with TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        for part in make(shape, words):
            part.save_pretrained(folder)
        return open_stock(look_into(Path(folder)))


def _parakeet(shape: Mapping[str, Any], words: list[str]) -> Parts:
    import transformers

    encoder = _config(transformers.ParakeetEncoderConfig, shape)
    tokenizer = transformers.ParakeetTokenizer(
        tokenizer_object=_word_tokenizer([PAD, UNKNOWN], words), unk_token=UNKNOWN, pad_token=PAD
    )
    config = transformers.ParakeetCTCConfig(encoder_config=encoder, vocab_size=len(tokenizer), pad_token_id=0)
    extractor = transformers.ParakeetFeatureExtractor(feature_size=encoder.num_mel_bins)
    return transformers.ParakeetForCTC(config), extractor, tokenizer


def _config(kind: Any, shape: Mapping[str, Any]) -> Any:
    """A config of class `kind` with the fields `shape`, of which transformers would take any."""
    from huggingface_hub.errors import StrictDataclassError

    known = set(kind().to_dict())
    if unknown := set(shape) - known:
        raise ConfigError(f"{kind.__name__} has no {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    try:
        return kind(**shape)
    except (StrictDataclassError, ValueError) as error:
        raise ConfigError(f"no {kind.__name__} has this shape: {error}") from error


def _word_tokenizer(marks: list[str], words: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate([*marks, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


KINDS: dict[str, Callable[[Mapping[str, Any], list[str]], Parts]] = {"parakeet_ctc": _parakeet}
