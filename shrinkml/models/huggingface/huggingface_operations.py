"""Building, reading, writing, trimming, drawing and exporting models of `transformers`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shrinkml.errors import ConfigError
from shrinkml.models.family import DenseCopies, FreshModel, Operations, Trimming
from shrinkml.models.huggingface import dense_copy, opening
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.models.huggingface.learning.joint_ctc import JointCtc
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.huggingface.vocabulary.trim import least_tokens, n_tokens, rank_tokens, trim

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn
    from shrinkml.export.stock import Layout


TAIL = "window_tail_s"  # entry of config.json, where a Whisper hears short windows


def describe(model: opening.HuggingFaceAsr) -> dict[str, Any]:
    """The config of the network, and the silence that it hears behind each utterance where that is told."""
    tail_s = getattr(model, TAIL, None)
    return {"model": opening.describe(model)} | ({} if tail_s is None else {TAIL: tail_s})


def build(config: Mapping[str, Any], folder: Path) -> opening.HuggingFaceAsr:
    """The dense model that `describe` described and whose other files lie in `folder`.

    Raises:
        CheckpointError: no such architecture, or broken files.
    """
    model, tail_s = opening.build(config["model"], folder), config.get(TAIL)
    if tail_s is not None:
        _shorten_window_(model, tail_s)
    return model


def _shorten_window_(model: opening.HuggingFaceAsr, tail_s: Any) -> None:
    """Have `model` hear `tail_s` seconds of silence behind each utterance instead of all its window.

    Raises:
        ConfigError: it has no window, or no such number of seconds was given.
    """
    if not isinstance(model, HuggingFaceSeq2Seq) or not model.windowed:
        raise ConfigError(f"{TAIL} is {tail_s!r}, and a {model.network.config.model_type} has no window to shorten")
    if isinstance(tail_s, bool) or not isinstance(tail_s, int | float) or not 0 <= tail_s < math.inf:
        raise ConfigError(f"{TAIL} is {tail_s!r}; allowed: seconds of silence, 0 or more")
    model.window_tail_s = float(tail_s)


def draw_afresh(wanted: FreshModel) -> opening.HuggingFaceAsr:
    """An untrained model of words.

    Raises:
        UnknownNameError: another kind.
        ConfigError: no such network has the shape.
    """
    return fresh(wanted.kind, wanted.shape, wanted.texts, wanted.seed)


def learner(model: HuggingFaceSeq2Seq, seed: int) -> JointCtc:
    """`model` with a CTC head on its encoder, whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return JointCtc(model)


def draw_ctc(model: HuggingFaceCtc) -> "Drawn":
    """The graph of `model`, traced.

    Raises:
        ExportError: it cannot be traced.
    """
    from shrinkml.models.huggingface.onnx import ctc_graph

    return ctc_graph.draw(model)


def draw_seq2seq(model: HuggingFaceSeq2Seq) -> "Drawn":
    """The graphs of `model`, traced.

    Raises:
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
    """
    from shrinkml.models.huggingface.onnx import seq2seq_graph

    return seq2seq_graph.draw(model)


def _sherpa_whisper() -> "Layout":
    from shrinkml.models.huggingface.onnx.sherpa_whisper import SHERPA_WHISPER

    return SHERPA_WHISPER


def _sherpa_ctc() -> "Layout":
    from shrinkml.models.huggingface.onnx.sherpa_ctc import SHERPA_CTC

    return SHERPA_CTC


def _optimum_whisper() -> "Layout":
    from shrinkml.models.huggingface.onnx.optimum_whisper import OPTIMUM_WHISPER

    return OPTIMUM_WHISPER


CTC_OPERATIONS = Operations(
    describe=describe,
    write=opening.write_files,
    build=build,
    fresh=draw_afresh,
    draw=draw_ctc,
    open_stock=opening.open_stock,
    dense_copies=DenseCopies(dense_copy.write_merged, dense_copy.card),
    layouts={"sherpa-onnx": _sherpa_ctc},
)
SEQ2SEQ_OPERATIONS = Operations(
    describe=describe,
    write=opening.write_files,
    build=build,
    fresh=draw_afresh,
    draw=draw_seq2seq,
    learner=learner,
    open_stock=opening.open_stock,
    dense_copies=DenseCopies(dense_copy.write_merged, dense_copy.card),
    trimming=Trimming(n_tokens, least_tokens, rank_tokens, trim),
    layouts={"sherpa-onnx": _sherpa_whisper, "optimum": _optimum_whisper},
)
