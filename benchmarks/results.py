"""Prints the README's tables of results: finished runs, and `make bench-iterative` where it was run.

`python benchmarks/results.py [runs]`
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from shrinkml.report import Report, read_report
from shrinkml.report.wording import interval, percent

COLUMNS = (
    "run",
    "parameters",
    "times smaller",
    "WER before",
    "WER after",
    "CER",
    "speed, batch 1",
    "batch 16",
    "minutes",
)


def row(name: str, report: Report) -> tuple[str, ...]:
    before, after, speed = report.baseline, report.result, report.speedup
    in_bytes = report.goal.resource == "bytes"
    return (
        name if report.goal_met else f"{name} (goal missed)",
        f"{before.parameters / 1e6:.2f} M to {after.parameters / 1e6:.2f} M",
        f"{before.bytes / after.bytes:.1f} in bytes" if in_bytes else f"{report.compression_ratio:.1f}",
        f"{percent(before.wer)} ({interval(before.wer_ci95)})",
        f"{percent(after.wer)} ({interval(after.wer_ci95)})",
        f"{percent(before.cer)} to {percent(after.cer)}",
        f"{speed.batch1:.2f}x",
        f"{speed.batch16:.2f}x",
        f"{report.seconds / 60:.1f}",
    )


def table(reports: Mapping[str, Report]) -> str:
    """Markdown, a line per report."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(row(name, report) for name, report in reports.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="folder with one folder per run")
    runs = parser.parse_args().runs
    files = sorted(runs.glob("*/report.json"))
    if not files:
        parser.exit(1, f"no report under {runs}; `make demo` makes runs/demo/report.json\n")
    print(table({file.parent.name: read_report(file) for file in files}))
    iterative = runs / "bench" / "iterative" / "table.md"
    if iterative.exists():
        print(f"\n{iterative.read_text()}", end="")


if __name__ == "__main__":
    main()
