"""How much faster low-rank LSTMs are than dense ones on this CPU, one thread: `python benchmarks/lstm.py`.

Every row compares, in turns, a dense module with its low-rank replacement of random weights in inference: single
bidirectional layers, single decoder steps, and a whole recogniser's LSTMs at the scale of the published models (six
bidirectional layers and a decoder of 1024 units). Dense is the fastest of what torch offers here: its LSTM with oneDNN
and without. The dense layers are also run through the compiled recurrence of the low-rank ones, which tells the gain of
the kernel from that of the rank.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import merge, reshape
from shrinkml.layers.lstm import FormLSTM
from shrinkml.plan.compression_plan import CompressionPlan

LAYERS = ((160, 320), (1280, 320), (1024, 512), (2048, 1024))  # (input size, units)
CELLS = ((768, 320), (2304, 1024))
RATIOS = (2.0, 5.0, 10.0)
BATCHES = (1, 16)
FRAMES = 50  # encoder steps: 2 s of speech in the reference model
TOKENS = 12


class Published(nn.Module):
    """The LSTMs of the published recognisers: six bidirectional layers and a decoder of 1024 units."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (240, *[2048] * 5)
        self.encoder = nn.ModuleList(nn.LSTM(size, 1024, bidirectional=True) for size in sizes)
        self.decoder = nn.LSTMCell(2048, 1024)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [time, batch, 240] to the decoder's last state [batch, 1024]."""
        for lstm in self.encoder:
            x, _ = lstm(x)
        state = None
        for step in range(TOKENS):
            state = self.decoder(x[step], state)
        return state[0]


def low_rank(model: nn.Module, ratio: float) -> nn.Module:
    """`model` with random factors of 1 / `ratio` of the weights in every matrix."""
    ranks = {layer.name: int(layer.parameters / ratio) // layer.parameters_per_rank for layer in find_layers(model)}
    shrunk = reshape(model, CompressionPlan.of_ranks(ranks)).eval()
    for parameter in shrunk.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return shrunk


@contextmanager
def without_onednn() -> Iterator[None]:
    torch.backends.mkldnn.set_flags(False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(True)


def timings(candidates: dict[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each candidate in `runs` rounds, the candidates in turns, after a round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(runs + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: values[1:] for name, values in times.items()}


def compare(name: str, model: nn.Module, x: Tensor, *, ratio: float, runs: int, repeat: int = 1) -> dict[str, Any]:
    """One row: `model` (dense) against its low-rank version on the input `x`, each called `repeat` times per round."""
    shrunk = low_rank(model, ratio)
    dense = merge(shrunk)
    assert_equal(dense(x), shrunk(x))

    def call(module: nn.Module) -> None:
        for _ in range(repeat):
            module(x)

    def call_without_onednn() -> None:
        with without_onednn():
            call(dense)

    candidates = {"onednn": partial(call, dense), "aten": call_without_onednn, "low_rank": partial(call, shrunk)}
    if isinstance(dense, nn.LSTM):
        candidates["dense_kernel"] = partial(call, FormLSTM.of(dense))
    times = timings(candidates, runs)
    dense_times = min((times["onednn"], times["aten"]), key=statistics.median)
    ratios = sorted(before / after for before, after in zip(dense_times, times["low_rank"], strict=True))
    return {
        "case": name,
        "compression_ratio": ratio,
        "batch": x.shape[-2],
        "dense_ms": statistics.median(dense_times) / repeat,
        "low_rank_ms": statistics.median(times["low_rank"]) / repeat,
        "speedup": statistics.median(ratios),
        "speedup_range": [ratios[0], ratios[-1]],
        "median_ms": {key: statistics.median(values) / repeat for key, values in times.items()},
    }


def assert_equal(expected: Any, found: Any) -> None:
    """Fails unless both modules compute the same, to float32 rounding through all layers."""
    if isinstance(expected, tuple):
        expected, found = expected[0], found[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def rows(runs: int) -> Iterator[dict[str, Any]]:
    for n_in, units in LAYERS:
        for ratio in RATIOS:
            for batch in BATCHES:
                lstm = nn.LSTM(n_in, units, bidirectional=True)
                x = torch.randn(FRAMES, batch, n_in)
                yield compare(f"BiLSTM {n_in} to 2x{units}", lstm, x, ratio=ratio, runs=runs)
    for n_in, units in CELLS:
        for ratio in RATIOS:
            for batch in BATCHES:
                x = torch.randn(batch, n_in)
                cell = nn.LSTMCell(n_in, units)
                yield compare(f"LSTMCell {n_in} to {units}", cell, x, ratio=ratio, runs=runs, repeat=10)
    for batch in BATCHES:
        x = torch.randn(FRAMES, batch, 240)
        yield compare("published: 6 BiLSTM + decoder, 1024", Published(), x, ratio=5.0, runs=runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/lstm.json"), help="where the JSON goes")
    parser.add_argument("--runs", type=int, default=7, help="rounds per row")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| case | smaller | batch | dense ms | low rank ms | times as fast | range | dense in our kernel, ms |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    with torch.inference_mode():
        for row in rows(arguments.runs):
            low, high = row["speedup_range"]
            kernel = row["median_ms"].get("dense_kernel")
            print(
                f"| {row['case']} | {row['compression_ratio']:g}x | {row['batch']} | {row['dense_ms']:.2f} | "
                f"{row['low_rank_ms']:.2f} | **{row['speedup']:.1f}** | {low:.1f} to {high:.1f} | "
                f"{'' if kernel is None else f'{kernel:.2f}'} |",
                flush=True,
            )
            results.append(row)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    record = {"threads": 1, "frames": FRAMES, "tokens": TOKENS, "runs": arguments.runs, "torch": torch.__version__}
    arguments.out.write_text(json.dumps({**record, "machine": platform.machine(), "rows": results}, indent=1))


if __name__ == "__main__":
    main()
