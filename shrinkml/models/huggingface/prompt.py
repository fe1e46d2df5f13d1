"""The prompt: tokens that the generation of transformers gives a decoder before it writes."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from shrinkml.models.huggingface.quiet import quietly

Prompt = tuple[tuple[int, ...], ...]

# Fields of generation_config.json that have a say in a Whisper's prompt.
TELLING = (
    "decoder_start_token_id",
    "eos_token_id",
    "forced_decoder_ids",
    "is_multilingual",
    "lang_to_id",
    "language",
    "no_timestamps_token_id",
    "pad_token_id",
    "return_timestamps",
    "task",
    "task_to_id",
)


def read_prompt(network: Any, start: int) -> Prompt:
    """A token each, or several, the languages, of which the likeliest is taken.

    Args:
        network: an encoder-decoder of transformers.
        start: what decoders other than Whisper's are given first.

    Raises:
        Exception: of many types, where the settings of a Whisper's generation make no prompt.
    """
    config = network.generation_config
    if network.config.model_type != "whisper":
        forced = config.forced_bos_token_id
        return ((start,),) if forced is None else ((start,), (forced,))
    told = {name: getattr(config, name) for name in TELLING if hasattr(config, name)}
    languages = told.get("lang_to_id")
    if not languages or told.get("language"):
        return tuple((token,) for token in _given(network, told))
    # Where a language is looked for, it is found among those that are left.
    left = ({name: languages[name]} for name in (min(languages), max(languages)))
    given = (_given(network, {**told, "lang_to_id": one}) for one in left)
    return tuple((a,) if a == b else tuple(languages.values()) for a, b in zip(*given, strict=True))


def _given(network: Any, told: Mapping[str, Any]) -> list[int]:
    """The tokens that a Whisper's generation gives the decoder before it first asks for scores."""
    from transformers import GenerationConfig
    from transformers.modeling_outputs import BaseModelOutput

    given: list[int] = []

    def listen(tokens: Tensor, scores: Tensor) -> Tensor:
        given.extend(tokens[0].tolist())
        return scores

    twin = copy.copy(network)  # of the same weights
    nothing = BaseModelOutput(torch.zeros(1, 1, network.config.d_model, device=network.device))  # spares the encoder
    with quietly():
        twin.generation_config = GenerationConfig(**told)
        twin.generate(encoder_outputs=nothing, max_new_tokens=1, logits_processor=[listen])
    return given
