"""Building, reading, writing, trimming, drawing and exporting models of `transformers`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shrinkml.models.family import DenseCopies, FreshModel, Operations, Trimming
from shrinkml.models.huggingface import dense_copy, opening
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.models.huggingface.learning.joint_ctc import JointCtc
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.huggingface.vocabulary.trim import least_tokens, n_tokens, trim

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn
    from shrinkml.export.stock import Layout


def describe(model: opening.HuggingFaceAsr) -> dict[str, Any]:
    """The config of the network."""
    return {"model": opening.describe(model)}


def build(config: Mapping[str, Any], folder: Path) -> opening.HuggingFaceAsr:
    """The dense model that `describe` described and whose other files lie in `folder`.

    Raises:
        CheckpointError: no such architecture, or broken files.
    """
    return opening.build(config["model"], folder)


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
    trimming=Trimming(n_tokens, least_tokens, trim),
    layouts={"sherpa-onnx": _sherpa_whisper, "optimum": _optimum_whisper},
)
