"""The three networks of a Whisper that the programs of others arrange in their own ways: encoder, cross, decoder.

The encoder makes `hidden` of `values`; the cross network the keys and values that the decoder's layers attend to; the
decoder takes `tokens` [batch, tokens], keys and values of what came before (`past.0`, ...) and of the encoder
(`cross.0`, ...) and gives `logits` [batch, tokens, vocabulary] and keys and values with its own (`next.0`, ...).
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from shrinkml.errors import ExportError
from shrinkml.models.huggingface.onnx.generation import suppressed
from shrinkml.models.huggingface.onnx.seq2seq_graph import cached, fill_caches_, tensors_of
from shrinkml.models.huggingface.onnx.traced_graph import names, trace
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq

ENCODER, CROSS_NETWORK, DECODER = "encoder", "cross", "decoder"
PAST, CROSS, NEXT = "past", "cross", "next"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Whisper.

    Attributes:
        bins: of log-mel.
        frames: of log-mel in its window.
        positions: of the encoder's states.
        layers: of the decoder.
        heads: of each of them.
        dims: of a state.
        tokens: that the decoder takes at most.
        vocabulary: outputs.
    """

    bins: int
    frames: int
    positions: int
    layers: int
    heads: int
    dims: int
    tokens: int
    vocabulary: int

    @property
    def head_dims(self) -> int:
        """Of a head's keys and values."""
        return self.dims // self.heads


def shape_of(model: HuggingFaceSeq2Seq) -> Shape:
    """The sizes of `model`, a Whisper."""
    config = model.network.config
    return Shape(
        bins=config.num_mel_bins,
        frames=2 * config.max_source_positions,
        positions=config.max_source_positions,
        layers=config.decoder_layers,
        heads=config.decoder_attention_heads,
        dims=config.d_model,
        tokens=config.max_target_positions,
        vocabulary=config.vocab_size,
    )


def check_whisper(model: HuggingFaceSeq2Seq, program: str) -> None:
    """Raise where `model` is no Whisper of sound and settings as OpenAI's, which alone `program` drives.

    Raises:
        ExportError: it is not, and why.
    """
    kind = model.network.config.model_type
    if kind != "whisper":
        raise ExportError(f"a {kind} network; the layout of {program} is for a Whisper: export it as onnx")
    suppressed(model, first=False)
    extractor = model.speech.extractor
    found = {name: getattr(extractor, name) for name in ("sampling_rate", "n_fft", "hop_length")}
    wanted = {"sampling_rate": 16_000, "n_fft": 400, "hop_length": 160}
    if found != wanted:
        told = ", ".join(f"{name} {value}" for name, value in found.items())
        raise ExportError(
            f"the features of this Whisper have {told}; {program} computes its own, with "
            f"{', '.join(f'{name} {value}' for name, value in wanted.items())}: export it as onnx instead"
        )


def trace_networks(model: HuggingFaceSeq2Seq) -> dict[str, onnx.GraphProto]:
    """The three networks of `model`, batch and tokens free.

    Raises:
        ExportError: torch cannot trace one.
    """
    model = copy.deepcopy(model).cpu()
    model.network.set_attn_implementation("eager")  # the only one that torch's exporter leaves free in time
    fill_caches_(model)
    example = model.features(np.zeros(model.sample_rate_hz, np.float32))
    values = model.speech.batch([example, example], torch.device("cpu")).values
    with torch.no_grad():
        hidden = _Encoder(model.network)(values)
        cross = list(_Cross(model.network)(hidden))
    past = [torch.zeros(*heads.shape[:2], 3, heads.shape[3]) for heads in cross]
    inputs: dict[str, Tensor | list[Tensor]]
    inputs = {"tokens": torch.zeros(len(hidden), 2, dtype=torch.long), PAST: past, CROSS: cross}
    return {
        ENCODER: trace(_Encoder(model.network), {"values": values}, ("hidden",), free={"values": (0,)}),
        CROSS_NETWORK: trace(_Cross(model.network), {"hidden": hidden}, names(CROSS, cross), free={"hidden": (0,)}),
        DECODER: trace(
            _Tokens(model.network),
            inputs,
            ["logits", *names(NEXT, past)],
            free={"tokens": (0, 1), PAST: (0, 2), CROSS: (0,)},
        ),
    }


class _Encoder(nn.Module):
    """The encoder alone."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor) -> Tensor:
        """States [batch, positions, dims] of log-mel [batch, bins, frames]."""
        states: Tensor = self.network.get_encoder()(values).last_hidden_state
        return states


class _Cross(nn.Module):
    """Keys and values of the encoder's states, as the decoder's layers in turn attend to them."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Keys and values [batch, heads, positions, size] of each layer."""
        cache = cached((), ())
        # The decoder makes them when it takes its first step; the rest of that is cut off.
        first = torch.zeros(hidden.shape[0], 1, dtype=torch.long)
        self.network.get_decoder()(input_ids=first, encoder_hidden_states=hidden, past_key_values=cache, use_cache=True)
        return tuple(tensors_of(cache.cross_attention_cache))


class _Tokens(nn.Module):
    """Several tokens through the decoder, as a function of what came before."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, past: list[Tensor], cross: list[Tensor]) -> tuple[Tensor, ...]:
        """Logits [batch, tokens, vocabulary], then keys and values of `past` and `tokens`."""
        cache = cached(past, cross)
        states = self.network.get_decoder()(
            input_ids=tokens,
            encoder_hidden_states=torch.zeros(tokens.shape[0], cross[0].shape[2], 1),  # not read: its keys are known
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return (self.network.get_output_embeddings()(states), *tensors_of(cache.self_attention_cache))
