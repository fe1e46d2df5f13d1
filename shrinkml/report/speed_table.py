"""What a report says of speed: where the smaller model is not the faster one, and the table of runtimes."""

from collections.abc import Iterable, Mapping
from typing import Any

RUNTIMES = {"torch": "torch", "onnxruntime": "ONNX Runtime"}
RUNTIME_COLUMNS = (
    "runtime",
    "model",
    "threads",
    "real-time factor,\nbatch 1",
    "real-time factor,\nbatch 16",
    "times as fast,\nbatch 1 and 16",
    "import + load",
    "peak memory",
    "on disk",
)
FASTER = 1.05  # times as fast: less is not worth the name


def not_faster(report: Mapping[str, Any]) -> str:
    """Where the result is no faster than the original in the same runtime and precision; nothing if it is."""
    ratios = _speedups(report)
    slow = ", ".join(f"{ratio:.2f}x {where}" for where, ratio in ratios.items() if ratio < FASTER)
    if not slow:
        return ""
    verdict = "not everywhere faster" if max(ratios.values()) >= FASTER else "not faster"
    threads = threads_in_words(report["speedup"]["threads"])
    return f"{report['compression_ratio']:.2f} times smaller, {verdict}: {slow} ({threads})."


def _speedups(report: Mapping[str, Any]) -> dict[str, float]:
    """Where, in words -> how many times as fast as the original the result is there, on the headline's threads."""
    speedup = report["speedup"]
    ratios = {f"at batch {size} in torch": speedup[f"batch{size}"] for size in (1, 16)}
    for row in report.get("runtimes", ()):  # absent from older reports
        headline = (row["runtime"], row["precision"]) == ("torch", "float32")  # that is `speedup` itself
        if (row["model"], row["threads"]) == ("compressed", speedup["threads"]) and not headline:
            ratios |= {f"at batch {size} in {_runtime(row)}": row[f"speedup_batch{size}"] for size in (1, 16)}
    return ratios


def runtime_cells(report: Mapping[str, Any]) -> list[list[str]]:
    """The table of runtimes, a list of cells per row under RUNTIME_COLUMNS; empty in reports older than it."""
    return [
        [
            _runtime(row),
            row["model"],
            str(row["threads"]),
            *(f"{row[f'rtf_batch{n}']:.4f}\n{_range(row[f'rtf_batch{n}_range'])}" for n in (1, 16)),
            "" if row["model"] == "original" else f"{row['speedup_batch1']:.2f}x, {row['speedup_batch16']:.2f}x",
            f"{row['import_s']:.2f} + {row['load_s']:.2f} s",
            f"{row['peak_bytes'] / 1e6:.0f} MB",
            f"{row['bytes'] / 1e6:.2f} MB",
        ]
        for row in report.get("runtimes", ())
    ]


def _runtime(row: Mapping[str, Any]) -> str:
    return RUNTIMES[row["runtime"]] + ("" if row["precision"] == "float32" else f", {row['precision']}")


def _range(bounds: Iterable[float]) -> str:
    least, most = bounds
    return f"{least:.4f} to {most:.4f}"


def threads_in_words(count: int) -> str:
    """2 as "2 threads"."""
    return "1 thread" if count == 1 else f"{count} threads"
