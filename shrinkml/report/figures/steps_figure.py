"""The figure of the ratios on the way, before and after fine-tuning."""

from shrinkml.report.figures.palette import COLOURS, NEUTRAL
from shrinkml.report.figures.traces import Figure
from shrinkml.report.goal_words import CHEAPER
from shrinkml.report.record import Report
from shrinkml.report.search_rows import StepRow
from shrinkml.report.wording import percent


def steps_figure(report: Report) -> Figure:
    """WER of every step before and after fine-tuning, with the most that the goal allows."""
    labels = [_label(row) for row in report.steps]
    dev = report.sets.dev
    lines = [("original", dev.baseline_wer, "dot")]
    lines.append(("most allowed", dev.baseline_wer + report.goal.max_wer_increase, "dash"))
    return {
        "data": [
            _bars("before fine-tuning", labels, [row.wer_before for row in report.steps], COLOURS[1]),
            _bars("after fine-tuning", labels, [row.wer_after for row in report.steps], COLOURS[0]),
        ],
        "layout": {
            "height": 380,
            "barmode": "group",
            "xaxis": {
                "title": {"text": f"step: times {CHEAPER[report.goal.resource]}"},
                "type": "category",
                "showgrid": False,
            },
            "yaxis": {"title": {"text": "WER on dev, %"}, "rangemode": "tozero"},
            "shapes": [_level(*line) for line in lines],
        },
    }


def _label(row: StepRow) -> str:
    """The step's number and the ratio that it reached, of what the goal counts where the report knows that."""
    ratio = row.compression_ratio if row.reached_ratio is None else row.reached_ratio
    return f"{row.step}: {ratio:.2f}x" + ("" if row.accepted else ", missed")


def _bars(name: str, labels: list[str], wers: list[float], colour: str) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": labels,
        "y": [100 * wer for wer in wers],
        "text": [percent(wer) for wer in wers],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{text}<extra>" + name + "</extra>",
        "marker": {"color": colour},
    }


def _level(name: str, wer: float, dash: str) -> Figure:
    """A line across the whole figure at `wer`."""
    return {
        "type": "line",
        "name": f"{name} ({percent(wer)})",
        "showlegend": True,
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": 100 * wer,
        "y1": 100 * wer,
        "line": {"dash": dash, "width": 1.5, "color": NEUTRAL},
    }
