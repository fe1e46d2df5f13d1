"""Encoder-decoder models of transformers as two ONNX graphs: the encoder hears waveforms, the decoder takes one step.

Both networks are traced, what the feature extractor does before the encoder is written out. The encoder gives out the
keys and values that the decoder's layers attend to (`cross.0`, ...), the most tokens to write (`limit`), and keys and
values of no past tokens (`past.0`, ...); the decoder takes these but the limit, and a token, and gives logits and the
keys and values of one more token.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose
from torch import Tensor, nn

from shrinkml.compression.dropping.drop import absent_in
from shrinkml.errors import ExportError
from shrinkml.export.drawn import Drawn
from shrinkml.export.graph import FRONT, Graph, Storage
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT, Recipe
from shrinkml.models.huggingface.decoding.short_window import HEARD_STEP, frames_per_position, states_of
from shrinkml.models.huggingface.onnx.extractor_graph import Heard, front_end_of
from shrinkml.models.huggingface.onnx.generation import suppressed
from shrinkml.models.huggingface.onnx.traced_graph import drawn, names, trace
from shrinkml.models.huggingface.seq2seq_model import LEAST_TOKENS, TOKENS_PER_S, HuggingFaceSeq2Seq
from shrinkml.models.huggingface.speech_input import LEAST_S

KNOWN = ("whisper", "speech_to_text", "moonshine")
PAST, CROSS = "past", "cross"


def draw(model: HuggingFaceSeq2Seq) -> Drawn:
    """The graphs of `model`.

    Raises:
        ExportError: see `graphs`.
    """
    return drawn(*graphs(model))


def graphs(model: HuggingFaceSeq2Seq) -> tuple[dict[str, onnx.GraphProto], Recipe]:
    """Encoder and decoder, and how they are driven.

    Raises:
        ExportError: no such model or features are known, its generation does what no recipe can tell, or torch cannot
            trace a network.
    """
    kind = model.network.config.model_type
    if kind not in KNOWN:
        raise ExportError(f"a {kind} network cannot be exported to ONNX; allowed: {', '.join(KNOWN)}, and CTC models")
    model = copy.deepcopy(model).cpu()
    model.network.set_attn_implementation("eager")  # the only one that torch's exporter leaves free in time
    fill_caches_(model)
    second = model.features(np.zeros(model.sample_rate_hz, np.float32))
    values = model.speech.batch([second, second], torch.device("cpu")).values
    with torch.no_grad():
        cross = list(_Encoder(model.network, any_window=False)(values))
    found = _recipe(model, n_state=len(cross))
    return {ENCODER: _encoder(model, found, values, cross), DECODER: _decoder(model, found, cross)}, found


def _recipe(model: HuggingFaceSeq2Seq, n_state: int) -> Recipe:
    windowed = model.speech.window is not None
    return Recipe(
        sample_rate_hz=model.sample_rate_hz,
        shortest_samples=1 if windowed else int(LEAST_S * model.sample_rate_hz),
        vocabulary=model.text.pieces(model.network.config.vocab_size),
        longest_samples=model.speech.extractor.n_samples if windowed else None,
        pads=windowed,
        windows=_windows(model),
        prompt=model.prompt,
        suppressed=suppressed(model, first=False),
        suppressed_first=suppressed(model, first=True),
        end=model.end,
        ends_loops=True,
        no_speech=model.no_speech,
        state=tuple(f"{PAST}.{i}" for i in range(n_state)),
    )


def _encoder(model: HuggingFaceSeq2Seq, told: Recipe, values: Tensor, cross: list[Tensor]) -> onnx.GraphProto:
    """From `waveforms` [batch, samples] and `lengths` [batch] to what the decoder needs, and `limit`."""
    front = Graph(Storage(), FRONT)
    waveforms, lengths = front.input("waveforms", ("batch", "samples")), front.input("lengths", ("batch",), "int64")
    heard = front_end_of(model.speech.extractor)(front, waveforms, lengths, model.speech.extractor)
    heard_values = _behind_the_words(front, heard, model)
    front.output(heard_values, "front_values", heard.shape)
    front.output(_limit(front, heard.counts, model), LIMIT, ("batch",), "int64")
    for name, heads in zip(told.state, cross, strict=True):
        n, size = heads.shape[1], heads.shape[3]
        shape = front.op("Concat", front.size(lengths, 0), front.ints(n, 0, size), axis=0)
        front.output(front.op("ConstantOfShape", shape), name, ("batch", n, 0, size))
    free = {"values": _free(model, time=2 if model.speech.window else 1)}
    network = trace(
        _Encoder(model.network, any_window=model.window_tail_s is not None),
        {"values": values},
        names(CROSS, cross),
        free=free,
    )
    return compose.merge_graphs(front.body(), network, [("front_values", "values")])


def _decoder(model: HuggingFaceSeq2Seq, told: Recipe, cross: list[Tensor]) -> onnx.GraphProto:
    """From a `token` [batch], the encoder's outputs and a state to `logits` [batch, vocabulary] and the next state."""
    past = [torch.zeros(*heads.shape[:2], 3, heads.shape[3]) for heads in cross]
    return trace(
        _Step(model.network),
        {"token": torch.zeros(len(cross[0]), dtype=torch.long), PAST: past, CROSS: cross},
        ["logits", *(f"next_{name}" for name in told.state)],
        free={"token": (0,), PAST: (0, 2), CROSS: _free(model, time=2)},
    )


def _free(model: HuggingFaceSeq2Seq, *, time: int) -> tuple[int, ...]:
    """Axes that may be of any size: the batch, and `time` unless the network takes whole windows alone."""
    return (0,) if model.speech.window and model.window_tail_s is None else (0, time)


def _windows(model: HuggingFaceSeq2Seq) -> tuple[int, ...]:
    """Samples of the longest utterance of each window that `model` hears, ascending; none where there is but one."""
    n_silent = model.tail_positions
    if n_silent is None:
        return ()
    extractor, encoder = model.speech.extractor, model.network.get_encoder()
    spoken = range(HEARD_STEP - n_silent % HEARD_STEP, encoder.config.max_source_positions - n_silent, HEARD_STEP)
    n_frames = (frames_per_position(encoder) * n for n in spoken)
    longest = ((n - 1) * extractor.hop_length - extractor.n_fft // 2 for n in n_frames)  # as `Speech.frames_of` counts
    return (*(n for n in longest if n > 0), extractor.n_samples)


def _behind_the_words(graph: Graph, heard: Heard, model: HuggingFaceSeq2Seq) -> str:
    """The values of `heard` up to the end of the window for the longest utterance, as `model` hears it."""
    n_silent = model.tail_positions
    if n_silent is None:
        return heard.values
    per_position = frames_per_position(model.network.get_encoder())
    frames = graph.op("Add", graph.op("ReduceMax", heard.counts, graph.ints(0)), graph.ints(per_position - 1))
    positions = graph.op(
        "Add", graph.op("Div", frames, graph.ints(per_position)), graph.ints(n_silent + HEARD_STEP - 1)
    )
    steps = graph.op("Div", positions, graph.ints(HEARD_STEP))
    end = graph.op("Mul", steps, graph.ints(HEARD_STEP * per_position))
    return graph.op("Slice", heard.values, graph.ints(0), end, graph.ints(2))


class _Encoder(nn.Module):
    """The encoder as a function of its input: its states as the decoder's layers attend to them."""

    def __init__(self, network: Any, *, any_window: bool) -> None:
        super().__init__()
        self.network = network
        self.any_window = any_window

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        """Keys and values [batch, heads, frames, size] of each of the decoder's layers in turn."""
        cache = cached((), ())
        # The decoder makes them when it takes its first step; the rest of that is cut off.
        self.network.get_decoder()(
            input_ids=torch.zeros(values.shape[0], 1, dtype=torch.long),
            encoder_hidden_states=self._states(values),
            past_key_values=cache,
            use_cache=True,
        )
        return tuple(tensors_of(cache.cross_attention_cache))

    def _states(self, values: Tensor) -> Tensor:
        encoder = self.network.get_encoder()
        states: Tensor = states_of(encoder, values) if self.any_window else encoder(values).last_hidden_state
        return states


class _Step(nn.Module):
    """One token through the decoder, as a function of what came before."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, past: list[Tensor], cross: list[Tensor]) -> tuple[Tensor, ...]:
        """Logits [batch, vocabulary], then keys and values [batch, heads, tokens, size] of `past` and `token`."""
        cache = cached(past, cross)
        states = self.network.get_decoder()(
            input_ids=token[:, None],
            encoder_hidden_states=torch.zeros(token.shape[0], cross[0].shape[2], 1),  # not read: its keys are known
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = self.network.get_output_embeddings()(states[:, 0])
        return (logits, *tensors_of(cache.self_attention_cache))


def fill_caches_(model: HuggingFaceSeq2Seq) -> None:
    """Has attention that was dropped put zeros into caches, so that all layers have a state of one shape."""
    config = model.network.config
    heads = getattr(config, "decoder_attention_heads", None) or config.num_attention_heads
    for absent in absent_in(model).values():
        absent.heads = heads, config.hidden_size // heads


def cached(past: Sequence[Tensor], cross: Sequence[Tensor]) -> Any:
    """A decoder's cache of the keys and values `past`, and of those of the encoder, in turn."""
    from transformers import DynamicCache, EncoderDecoderCache

    layers = (zip(both[::2], both[1::2], strict=True) for both in (past, cross))  # keys and values of each
    return EncoderDecoderCache(*(DynamicCache(list(one)) for one in layers))


def tensors_of(cache: Any) -> list[Tensor]:
    """Keys and values of `cache`, in turn."""
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def _limit(graph: Graph, counts: str, model: HuggingFaceSeq2Seq) -> str:
    """[batch]: the most tokens that `model.transcribe` writes for so many frames."""
    seconds = graph.op("Cast", counts, to=TensorProto.DOUBLE)
    for kind, factor in (("Mul", model.speech.samples_per_frame), ("Div", model.sample_rate_hz), ("Mul", TOKENS_PER_S)):
        seconds = graph.op(kind, seconds, graph.constant(factor, "float64"))
    tokens = graph.op("Add", graph.op("Cast", seconds, to=TensorProto.INT64), graph.ints(LEAST_TOKENS))
    return graph.op("Min", tokens, graph.ints(model.room))
