"""Recognisers of transformers with random weights and a vocabulary of the task's words, to be trained from nothing."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from shrinkml.errors import ConfigError
from shrinkml.models.huggingface.opening import HuggingFaceAsr, open_stock
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.storage.model_folder import look_into
from shrinkml.tables import look_up

PAD, UNKNOWN = "<pad>", "<unk>"
# Whisper's own order: the end, which also fills up, and the start come first.
WHISPER_MARKS = [
    f"<|{mark}|>"
    for mark in ("endoftext", "startoftranscript", "en", "transcribe", "translate", "nospeech", "notimestamps")
]
# Half as many frames as OpenAI's, each of a window twice as long: training costs half, and words are as clear.
WHISPER_FRAME = {"hop_length": 320, "n_fft": 640}  # samples at 16 kHz
WHISPER_POSITIONS_PER_S = 25

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
    return _drawn_(transformers.ParakeetForCTC(config)), extractor, tokenizer


def _whisper(shape: Mapping[str, Any], words: list[str]) -> Parts:
    """English alone, without timestamps; the window is as long as the encoder has positions."""
    import transformers

    bytes_and_words, merges = _byte_pairs(words)
    vocabulary = {token: i for i, token in enumerate([*bytes_and_words, *WHISPER_MARKS])}
    end, start = (vocabulary[mark] for mark in WHISPER_MARKS[:2])
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token=WHISPER_MARKS[0])
    tokenizer.add_special_tokens({"additional_special_tokens": WHISPER_MARKS[1:]})
    special = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    config = _config(transformers.WhisperConfig, {**shape, **special, "vocab_size": len(vocabulary)})
    config.begin_suppress_tokens = None
    network = _drawn_(transformers.WhisperForConditionalGeneration(config))
    network.generation_config = transformers.GenerationConfig(
        **special,
        max_length=config.max_target_positions,
        no_timestamps_token_id=vocabulary[WHISPER_MARKS[-1]],
        is_multilingual=False,
    )
    seconds, left = divmod(config.max_source_positions, WHISPER_POSITIONS_PER_S)
    if left or not seconds:
        raise ConfigError(f"max_source_positions is {config.max_source_positions}; allowed: 25 for each whole second")
    extractor = transformers.WhisperFeatureExtractor(config.num_mel_bins, chunk_length=seconds, **WHISPER_FRAME)
    return network, extractor, tokenizer


def _drawn_(network: nn.Module) -> nn.Module:
    """`network` with weights drawn as torch draws them.

    transformers draws all of them with a standard deviation of 0.02, which suits models that will be filled with
    trained weights: through a Parakeet's convolutions one part in a million of the speech is left.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.reset_parameters()
    return network


def _byte_pairs(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The tokens and merges of a byte-level encoding that makes each of `words` one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=10**6, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([form for word in words for form in (word, f" {word}")], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tokens, [(left, right) for left, right in model["merges"]]


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


KINDS: dict[str, Callable[[Mapping[str, Any], list[str]], Parts]] = {"parakeet_ctc": _parakeet, "whisper": _whisper}
