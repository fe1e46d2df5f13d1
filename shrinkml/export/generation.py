"""What generation of transformers does beside taking the likeliest token, as data: its prompt and suppressed tokens."""

import copy
from typing import Any

import numpy as np
from torch import Tensor

from shrinkml.errors import ExportError
from shrinkml.models.huggingface_quiet import quietly
from shrinkml.models.huggingface_seq2seq import HuggingFaceSeq2Seq

Prompt = tuple[tuple[int, ...], ...]

# Fields of generation_config.json that change scores and that no recipe can tell; 0 and 1 mean that they do not.
UNTOLD = (
    "bad_words_ids",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "guidance_scale",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "return_timestamps",
    "sequence_bias",
)


def suppressed(model: HuggingFaceSeq2Seq, *, first: bool) -> tuple[int, ...]:
    """Tokens that are never written, or those that are not written `first`.

    Raises:
        ExportError: generation changes scores in other ways.
    """
    config = model.network.generation_config
    untold = [field for field in UNTOLD if getattr(config, field, None) not in (None, 0, 1)]
    if untold:
        raise ExportError(
            f"generation_config.json sets {', '.join(untold)}, which cannot be exported to ONNX; "
            "allowed: suppress_tokens, begin_suppress_tokens, language and task"
        )
    return tuple(getattr(config, "begin_suppress_tokens" if first else "suppress_tokens", None) or ())


def prompt(model: HuggingFaceSeq2Seq) -> Prompt:
    """What the decoder is given before it writes: a token each, or the languages of which the likeliest is taken."""
    config = copy.deepcopy(model.network.generation_config)
    languages = getattr(config, "lang_to_id", None) or {}
    if not languages or getattr(config, "language", None):
        return tuple((token,) for token in _given(model, config))
    # Where a language is looked for, it is found among those that are left.
    given = []
    for name in (min(languages), max(languages)):
        config.lang_to_id = {name: languages[name]}
        given.append(_given(model, config))
    return tuple((a,) if a == b else tuple(languages.values()) for a, b in zip(*given, strict=True))


def _given(model: HuggingFaceSeq2Seq, config: Any) -> list[int]:
    """What generation by `config` gives the decoder before it first asks for scores."""
    given: list[int] = []

    def listen(tokens: Tensor, scores: Tensor) -> Tensor:
        given.extend(tokens[0].tolist())
        return scores

    second = model.features(np.zeros(model.sample_rate_hz, np.float32))
    inputs = model.inputs([second])
    with quietly():
        model.network.generate(**inputs, generation_config=config, max_new_tokens=1, logits_processor=[listen])
    return given
