"""A CTC model of waveforms as sherpa-onnx opens it: model.onnx and tokens.txt, by `from_omnilingual_asr_ctc`.

That is its one reader of CTC models that are fed samples: it gives them zero mean and unit variance, as these models'
feature extractor does. Whatever that does is in the graph too; doing it twice changes nothing. A token that is no text
counts as blank: sherpa-onnx would write its name.

References:
    k2-fsa/sherpa-onnx: sherpa-onnx/csrc/offline-omnilingual-asr-ctc-model.cc, offline-recognizer-ctc-impl.h.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import compose

from shrinkml.errors import ExportError
from shrinkml.export.graph import Graph, Storage, as_model
from shrinkml.export.recipe import ENCODER
from shrinkml.export.stock import PARTS, Layout
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.onnx import ctc_graph
from shrinkml.models.huggingface.onnx.sherpa_whisper import NEVER, PROGRAM, TOKENS
from shrinkml.models.huggingface.onnx.traced_graph import store_

RATE_HZ = 16_000
BLANK, SPACE = "<blk>", "\N{LOWER ONE EIGHTH BLOCK}"  # in tokens.txt


def check(model: HuggingFaceCtc) -> None:
    """Raise where sherpa-onnx does not open something like `model`.

    Raises:
        ExportError: it hears something else than samples of unit variance at 16 kHz, or writes tokens that a line of
            tokens.txt cannot hold.
    """
    extractor = model.speech.extractor
    kind = type(extractor).__name__
    if model.speech.form != "samples" or not extractor.do_normalize or model.sample_rate_hz != RATE_HZ:
        raise ExportError(
            f"a {kind} at {model.sample_rate_hz} Hz prepares the speech of this model; {PROGRAM} gives a CTC model of "
            f"transformers samples at {RATE_HZ} Hz, of zero mean and unit variance (do_normalize): export it as onnx"
        )
    _tokens(model)


def draw(model: HuggingFaceCtc) -> PARTS:
    """The graph from samples to scores.

    Raises:
        ExportError: torch cannot trace it.
    """
    return {ENCODER: ctc_graph.encoder(model)}


def arrange(model: HuggingFaceCtc, parts: PARTS, folder: Path, int8: bool) -> None:
    """Write model.onnx and tokens.txt to `folder`."""
    head, tail = Graph(Storage(), "head."), Graph(Storage(), "tail.")
    samples = head.input("x", ("batch", "samples"))
    head.output(samples, "head_waveforms", ("batch", "samples"))
    lengths = head.op("Expand", head.size(samples, 1), head.op("Shape", samples, start=0, end=1))
    head.output(lengths, "head_lengths", ("batch",), "int64")
    axes = ("batch", "frames", model.network.config.vocab_size)
    tail.output(_text_or_blank(tail, tail.input("tail_scores", axes), model), "scores", axes)
    links = [("head_waveforms", "waveforms"), ("head_lengths", "lengths")]
    graph = compose.merge_graphs(head.body(), parts[ENCODER], links)
    graph = compose.merge_graphs(graph, tail.body(), [("logits", "tail_scores")], outputs=["scores"])
    onnx.save(as_model(graph), folder / "model.onnx")
    (folder / TOKENS).write_text(_tokens(model), encoding="utf-8")


SHERPA_CTC = Layout(check=check, draw=draw, store=store_, arrange=arrange, mark=TOKENS)


def _text_or_blank(graph: Graph, scores: str, model: HuggingFaceCtc) -> str:
    """`scores` [batch, frames, vocabulary] in which blank has the best score of all tokens that are no text."""
    blank = np.arange(model.network.config.vocab_size) == model.blank
    silent = np.array([not piece for piece in _pieces(model)]) | blank
    best = graph.op("Where", graph.constant(silent, "bool"), scores, graph.constant(NEVER))
    best = graph.op("ReduceMax", best, graph.ints(2))
    text = graph.op("Where", graph.constant(silent, "bool"), graph.constant(NEVER), scores)
    return graph.op("Where", graph.constant(blank, "bool"), best, text)


def _pieces(model: HuggingFaceCtc) -> tuple[str, ...]:
    return model.text.pieces(model.network.config.vocab_size)


def _tokens(model: HuggingFaceCtc) -> str:
    """A line for blank and each token that is text: its letters, a space before them as sherpa-onnx marks it, its id.

    Raises:
        ExportError: a space elsewhere, or bytes that are no whole letter.
    """
    lines = [f"{BLANK} {model.blank}\n"]
    for token, piece in enumerate(_pieces(model)):
        letters = piece.removeprefix(" ")
        if letters != "".join(letters.split()) or not _is_whole(letters):
            raise ExportError(
                f"token {token} of this model is {piece!r}; {TOKENS} of {PROGRAM} holds whole letters, and a space "
                "only before them: export it as onnx"
            )
        if piece and token != model.blank:
            lines.append(f"{SPACE if piece != letters else ''}{letters} {token}\n")
    return "".join(lines)


def _is_whole(letters: str) -> bool:
    """False where there are lone surrogates: bytes of a letter."""
    return not any("\ud800" <= letter <= "\udfff" for letter in letters)
