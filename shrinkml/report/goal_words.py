"""The headline of a report: where the smaller model is not faster, and what became of the goal."""

from shrinkml.plan.prices import Resource
from shrinkml.report.record import Report
from shrinkml.report.speed_table import not_faster
from shrinkml.report.wording import points, wer_change

CHEAPER: dict[Resource, str] = {
    "parameters": "smaller",
    "bytes": "smaller in bytes",
    "macs": "cheaper in multiply-accumulates",
    "latency": "as fast at batch 1",
}


def headline(report: Report) -> str:
    """Both sentences; the first only where the model is not faster."""
    return " ".join(filter(None, (not_faster(report), goal_in_words(report))))


def goal_in_words(report: Report) -> str:
    """The goal, met or missed; what was reached on test, and what was missed."""
    allowed = points(report.goal.max_wer_increase)
    change = wer_change(report.result.wer - report.baseline.wer)
    reached = f"{_reached(report)} with {change} on test (at most {allowed} more allowed)"
    if report.goal_met:
        return f"Goal met: {reached}."
    return f"Goal missed: {reached}; {'; '.join(_misses(report))}."


def _reached(report: Report) -> str:
    """The ratio reached in what the goal counts, and in size."""
    smaller = f"{report.compression_ratio:.2f} times smaller"
    resource = report.goal.resource
    if resource == "parameters":
        return smaller
    ratio = report.speedup.batch1
    if resource == "macs":
        ratio = report.baseline.macs_per_s / report.result.macs_per_s
    if resource == "bytes":
        ratio, smaller = report.size_ratio, f"{smaller} in parameters"
    return f"{ratio:.2f} times {CHEAPER[resource]}, {smaller},"


def _misses(report: Report) -> list[str]:
    missed, wanted = report.missed_by, f"{report.goal.compression_ratio:g} times"
    misses = []
    if missed.compression_ratio > 0:
        misses.append(f"{missed.compression_ratio:.2f} short of {wanted}")
    if missed.wer > 0:
        misses.append(f"{points(missed.wer)} of WER too many")
    if missed.wer_at_goal_ratio > 0:
        model = f"the best model {wanted} {CHEAPER[report.goal.resource]}"
        misses.append(f"{model} has {points(missed.wer_at_goal_ratio)} too many on dev")
    return misses
