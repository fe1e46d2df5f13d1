"""Measure the cost of the transducer loss on this CPU, one thread: `python benchmarks/transducer.py`.

Every row is one training step from encodings to gradients, in turns with the scores alone (logits and log-softmax of
all nodes at once, backwards too), which is what any transducer loss pays: the rest is the price of the recursion. Then
the same in blocks, which keep memory bounded and compute the scores twice.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.models.transducer.joint import score_lattice
from shrinkml.models.transducer.transducer_loss import log_likelihood
from shrinkml.training.activation_memory import activation_bytes

SHAPES = ((8, 100, 20, 128), (32, 40, 8, 112), (4, 300, 60, 512))  # (batch, frames, labels, vocabulary)
JOINT = 256  # units
BLOCKS = (2**32, 2**20)  # scores at a time: all, and few


def case(batch: int, frames: int, labels: int, vocabulary: int, *, rounds: int) -> list[dict[str, Any]]:
    """A row for each size of blocks."""
    torch.manual_seed(0)
    joint = nn.Sequential(nn.Tanh(), nn.Linear(JOINT, vocabulary))
    encoded = torch.randn(batch, frames, JOINT, requires_grad=True)
    predicted = torch.randn(batch, labels + 1, JOINT, requires_grad=True)
    targets = torch.randint(1, vocabulary, (batch, labels))
    counts = torch.full((batch,), frames), torch.full((batch,), labels)

    def loss(most: int) -> Tensor:
        scored = joint, encoded, predicted, targets
        return -log_likelihood(score_lattice(*scored, *counts, blank=0, most=most)).sum()

    def scores() -> Tensor:
        return joint(encoded[:, :, None] + predicted[:, None]).log_softmax(-1)[..., 0].sum()

    steps: dict[Any, Callable[[], Tensor]] = {
        "scores": scores,
        **{most: lambda most=most: loss(most) for most in BLOCKS},
    }
    times: dict[Any, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            start = time.thread_time()
            step().backward()
            times[name].append(1000 * (time.thread_time() - start))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    return [
        {
            "batch": batch,
            "frames": frames,
            "labels": labels,
            "vocabulary": vocabulary,
            "scores_at_a_time": "all" if most == BLOCKS[0] else most,
            "loss_ms": medians[most],
            "scores_ms": medians["scores"],
            "kept_mb": activation_bytes(joint, lambda most=most: loss(most)) / 1e6,
        }
        for most in BLOCKS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for shape in SHAPES for row in case(*shape, rounds=options.rounds)]
    print("| batch x frames x labels x vocabulary | scores at a time | loss, ms | scores alone, ms | kept, MB |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        shape = " x ".join(str(row[name]) for name in ("batch", "frames", "labels", "vocabulary"))
        figures = f"{row['loss_ms']:.0f} | {row['scores_ms']:.0f} | {row['kept_mb']:.0f}"
        print(f"| {shape} | {row['scores_at_a_time']} | {figures} |")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
