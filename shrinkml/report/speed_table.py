"""The speed of a report in words and as a table: where the smaller model is not the faster one, and every runtime."""

from shrinkml.measure.speed_rows import Range, RuntimeRow
from shrinkml.report.record import Report
from shrinkml.report.wording import threads_in_words

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


def not_faster(report: Report) -> str:
    """The runtimes and precisions in which the result is no faster than the original; nothing where it is in all."""
    ratios = _speedups(report)
    slow = ", ".join(f"{ratio:.2f}x {where}" for where, ratio in ratios.items() if ratio < FASTER)
    if not slow:
        return ""
    verdict = "not everywhere faster" if max(ratios.values()) >= FASTER else "not faster"
    return (
        f"{report.compression_ratio:.2f} times smaller, {verdict}: {slow} ({threads_in_words(report.speedup.threads)})."
    )


def _speedups(report: Report) -> dict[str, float]:
    """Batch size and runtime in words -> times as fast as the original there, on the headline's threads."""
    speedup = report.speedup
    ratios = {"at batch 1 in torch": speedup.batch1, "at batch 16 in torch": speedup.batch16}
    for row in report.runtimes:
        headline = (row.runtime, row.precision) == ("torch", "float32")  # that is `speedup` itself
        if (row.model, row.threads) == ("compressed", speedup.threads) and not headline:
            ratios[f"at batch 1 in {_runtime(row)}"] = row.speedup_batch1
            ratios[f"at batch 16 in {_runtime(row)}"] = row.speedup_batch16
    return ratios


def runtime_cells(report: Report) -> list[list[str]]:
    """The table of runtimes, a list of cells per row under RUNTIME_COLUMNS."""
    return [
        [
            _runtime(row),
            row.model,
            str(row.threads),
            f"{row.rtf_batch1:.4f}\n{_range(row.rtf_batch1_range)}",
            f"{row.rtf_batch16:.4f}\n{_range(row.rtf_batch16_range)}",
            "" if row.model == "original" else f"{row.speedup_batch1:.2f}x, {row.speedup_batch16:.2f}x",
            f"{row.import_s:.2f} + {row.load_s:.2f} s",
            f"{row.peak_bytes / 1e6:.0f} MB",
            f"{row.bytes / 1e6:.2f} MB",
        ]
        for row in report.runtimes
    ]


def _runtime(row: RuntimeRow) -> str:
    return RUNTIMES[row.runtime] + ("" if row.precision == "float32" else f", {row.precision}")


def _range(bounds: Range) -> str:
    least, most = bounds
    return f"{least:.4f} to {most:.4f}"
