"""ONNX Runtime on this CPU, one thread: `python benchmarks/export.py` (not called onnx.py, it would hide the package).

The first table has the ways to run a factorized LSTM layer: its recurrent factors multiplied out in a file as large as
a dense one's, and as the exporter writes it (`shrinkml/export/lstm_graph.py`). The second has whole recognisers, from
waveform to text, as a job's report measures them: bytes, peak memory, load time, WER and time in torch and in ONNX
Runtime, as they are and in int8. Times are medians of rounds in turns, of the processor.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import shrinkml
from shrinkml.compression.int8 import gains_by_int8
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.export import exported_transcripts
from shrinkml.export.exporter import export
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.int8.int8_graph import write_int8
from shrinkml.export.lstm_graph import lstm_layer
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.measure import evaluation
from shrinkml.measure.runtimes import INT8, Contender, compare_runtimes
from shrinkml.measure.speed import BATCH_SIZES
from shrinkml.measure.timed_process import ONNXRUNTIME, TORCH
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance
from shrinkml.storage import checkpoint
from shrinkml.training.dataset import load_dataset

LAYERS = ((160, 320, 62), (1280, 320, 31), (160, 128, 62), (2048, 1024, 31))  # (input size, units, steps)
RATIOS = (5.0, 12.0)


def timings(candidates: dict[Hashable, Callable[[], Any]], rounds: int) -> dict[Hashable, float]:
    """Median milliseconds of each candidate, in turns, after a round that is not counted.

    Of the processor, for this one thread: other programs on a busy machine disturb that less than the clock.
    """
    times: dict[Hashable, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, candidate in candidates.items():
            start = time.thread_time()
            candidate()
            times[name].append(1000 * (time.thread_time() - start))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def lstm_forms(n_in: int, units: int, ratio: float) -> dict[str, nn.Module]:
    """A bidirectional layer, dense, and at 1 / `ratio` of its weights, its recurrence multiplied out or low rank."""
    dense = nn.LSTM(n_in, units, bidirectional=True)
    ranks = {layer.name: int(layer.parameters / ratio) // layer.parameters_per_rank for layer in find_layers(dense)}
    inputs = {name: rank for name, rank in ranks.items() if "weight_ih" in name}
    forms = {
        "dense": dense,
        "multiplied out": reshape(dense, CompressionPlan.of_ranks(inputs)),
        "as exported": reshape(dense, CompressionPlan.of_ranks(ranks)),
    }
    for parameter in (parameter for form in forms.values() for parameter in form.parameters()):
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return forms


def session(layer: nn.Module, n_in: int, *, int8: bool) -> onnxruntime.InferenceSession:
    """`layer` alone in a graph, on one thread."""
    graph = Graph(Storage(int8=int8))
    x, counts = graph.input("x", ("time", "batch", n_in)), graph.input("counts", ("batch",), "int64")
    graph.output(lstm_layer(graph, x, counts, layer, "lstm"), "y", ("time", "batch", "units"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        write_int8(graph.model(), path, frozenset()) if int8 else onnx.save(graph.model(), path)
        return onnxruntime.InferenceSession(str(path), one_thread(), providers=["CPUExecutionProvider"])


def one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def layer_rows(rounds: int) -> Iterator[dict[str, Any]]:
    for n_in, units, steps in LAYERS:
        for ratio in RATIOS:
            forms = lstm_forms(n_in, units, ratio)
            sessions = {
                f"{name}{', int8' * int8}": session(form, n_in, int8=int8)
                for int8 in (False, True)
                for name, form in forms.items()
            }
            for batch in BATCH_SIZES:
                x = np.random.default_rng(0).standard_normal((steps, batch, n_in), np.float32)
                inputs = {"x": x, "counts": np.full(batch, steps)}
                calls = {name: partial(one.run, None, inputs) for name, one in sessions.items()}
                case = {"in": n_in, "units": units, "steps": steps, "smaller": ratio, "batch": batch}
                yield {**case, **timings(calls, rounds)}


def recogniser_rows(names: Sequence[str], manifest: Path, n_utterances: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Bytes, memory, WER and milliseconds per utterance of each checkpoint in each runtime, all timed in turns."""
    utterances = read_manifest(manifest)[:n_utterances]
    ms = 1000 * sum(utterance.duration_s for utterance in utterances) / len(utterances)
    with TemporaryDirectory() as folder:
        recognisers = [one for name in names for one in in_each_runtime(name, Path(folder), utterances)]
        timed = compare_runtimes(recognisers, utterances, threads=(1,), rounds=rounds, most_s=math.inf)
        for recogniser, row in zip(recognisers, timed, strict=True):
            wer = word_errors([utterance.text for utterance in utterances], transcripts(recogniser, utterances)).wer
            yield {
                "model": row.model,
                "runtime": row.runtime,
                "precision": row.precision,
                "bytes": row.bytes,
                "peak_bytes": row.peak_bytes,
                "load_s": row.load_s,
                "WER %": 100 * wer,
                "ms_batch1": ms * row.rtf_batch1,
                "ms_batch16": ms * row.rtf_batch16,
            }


def in_each_runtime(name: str, folder: Path, utterances: Sequence[Utterance]) -> Iterator[Contender]:
    """The checkpoint `name`, and what it is exported to in a new folder in `folder`."""
    yield Contender(TORCH, name, "float32", checkpoint.locate(name))
    if gains_by_int8(shrinkml.load(name)):
        yield Contender(TORCH, name, INT8, checkpoint.locate(name))
    exports = Path(mkdtemp(dir=folder))
    for precision in ("float32", INT8):
        few = utterances[:: max(1, len(utterances) // 16)]
        export(name, exports / precision, int8=precision == INT8, speech=few)
        yield Contender(ONNXRUNTIME, name, precision, exports / precision)


def transcripts(recogniser: Contender, utterances: Sequence[Utterance]) -> list[str]:
    if recogniser.runtime == ONNXRUNTIME:
        return exported_transcripts.transcripts(OnnxRecogniser(recogniser.folder), utterances)
    model = shrinkml.load(recogniser.model, int8=recogniser.precision == INT8)
    return evaluation.transcripts(model, load_dataset(model, utterances))


def print_row(cells: Sequence[Any]) -> None:
    print(
        "| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True
    )


def collect(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each printed as it comes."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if not found:
            print_row(list(row))
            print_row(["---"] * len(row))
        print_row(list(row.values()))
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "checkpoints", nargs="*", default=["reference/las"], help="to measure; the first is the original"
    )
    parser.add_argument("--speech", type=Path, default=Path("data/commands/test.jsonl"), help="manifest to hear")
    parser.add_argument("--utterances", type=int, default=200, help="the first so many of it")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/export.json"), help="where the JSON goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = collect(layer_rows(arguments.rounds))
    models = collect(recogniser_rows(arguments.checkpoints, arguments.speech, arguments.utterances, arguments.rounds))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    record = {"threads": 1, "rounds": arguments.rounds, "onnxruntime": onnxruntime.__version__}
    arguments.out.write_text(json.dumps({**record, "layers": layers, "models": models}, indent=1))


if __name__ == "__main__":
    main()
