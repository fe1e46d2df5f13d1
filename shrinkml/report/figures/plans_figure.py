"""The figure of every plan that was judged, by size and WER."""

from collections.abc import Iterable, Sequence
from html import escape

from shrinkml.report.figures.palette import NEUTRAL, strategy_styles
from shrinkml.report.figures.traces import Figure, logarithmic_axis, scatter
from shrinkml.report.record import Report
from shrinkml.report.search_rows import TrialRow
from shrinkml.report.wording import percent

MILLIONS = 1e-6


def plans_figure(report: Report) -> Figure:
    """WER against size of every plan that was judged, with the Pareto front, the original and the result.

    Plans that were stopped early are hollow, and not on the front: their WER is an estimate.
    """
    original = (report.baseline.parameters, report.sets.proxy.baseline_wer)
    result = (report.result.parameters, report.result.wer)
    trials = report.trials
    front = pareto_front([original, *((row.parameters, row.wer) for row in trials if _judged_whole(row))])
    data = [
        _points(strategy, [trial for trial in trials if trial.strategy == strategy], style, original[0])
        for strategy, style in strategy_styles(trial.strategy for trial in trials).items()
    ]
    data.append(
        {
            **scatter("Pareto front", front, scale=MILLIONS),
            "mode": "lines",
            "line": {"shape": "hv", "width": 1.5, "color": NEUTRAL},
            "hoverinfo": "skip",
        }
    )
    data.append(_mark("original", original, "star", "on the proxy set"))
    data.append(_mark("result, fine-tuned", result, "star-diamond", "on test"))
    return {
        "data": data,
        "layout": {
            "height": 440,
            "xaxis": logarithmic_axis("million parameters"),
            "yaxis": logarithmic_axis("WER, %"),
        },
    }


def pareto_front(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Those (parameters, WER) than which no other is both as small and as good, by size."""
    front: list[tuple[int, float]] = []
    for parameters, wer in sorted(points):
        if not front or wer < front[-1][1]:
            front.append((parameters, wer))
    return front


def _points(strategy: str, trials: Sequence[TrialRow], style: tuple[str, str], dense: int) -> Figure:
    colour, symbol = style
    symbols = [symbol if _judged_whole(trial) else f"{symbol}-open" for trial in trials]
    return {
        **scatter(escape(strategy), [(trial.parameters, trial.wer) for trial in trials], scale=MILLIONS),
        "mode": "markers",
        "marker": {"size": 7, "symbol": symbols, "color": colour, "opacity": 0.65},
        "customdata": [[trial.step, trial.seed, dense / trial.parameters] for trial in trials],
        "hovertemplate": "%{y:.2f} % WER, %{customdata[2]:.2f} times smaller<br>step %{customdata[0]}, "
        "seed %{customdata[1]}<extra>" + escape(strategy) + "</extra>",
    }


def _judged_whole(trial: TrialRow) -> bool:
    """True where all words were heard."""
    return trial.heard == 1.0


def _mark(name: str, point: tuple[int, float], symbol: str, where: str) -> Figure:
    return {
        **scatter(f"{name} ({where})", [point], scale=MILLIONS),
        "mode": "markers",
        "marker": {"size": 15, "symbol": symbol, "color": "#c2332f", "line": {"width": 1, "color": "#ffffff"}},
        "hovertemplate": f"{percent(point[1])} WER, {point[0]:,} parameters<extra>{name}</extra>",
    }
