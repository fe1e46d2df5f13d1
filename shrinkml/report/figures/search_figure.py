"""The figure of the last step's searches, by the best plan they had after so many evaluations."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate, cycle

from shrinkml.report.figures.palette import DASHES, strategy_styles
from shrinkml.report.figures.traces import Figure, logarithmic_axis, scatter
from shrinkml.report.record import Report
from shrinkml.report.search_rows import TrialRow


def search_figure(report: Report) -> Figure:
    """Best WER so far against evaluations, for every strategy and seed of the last step.

    Plans over the step's budget, which only measured a layer, count as evaluations but are not the best of anything.
    The line of a search that ended early goes on flat: it has no better plan to offer, however many are judged.
    """
    last = max((trial.step for trial in report.trials), default=0)
    curves: dict[tuple[str, int], list[TrialRow]] = {}
    for trial in report.trials:
        if trial.step == last:
            curves.setdefault((trial.strategy, trial.seed), []).append(trial)
    most = max(map(len, curves.values()), default=0)
    lines, ends = [], []
    for strategy, style in strategy_styles(trial.strategy for trial in report.trials).items():
        seeds = sorted(seed for name, seed in curves if name == strategy)
        width = 3.0 if strategy == report.strategy else 1.5
        for seed, dash in zip(seeds, cycle(DASHES), strict=False):
            best, name = _best_so_far(curves[strategy, seed]), escape(f"{strategy}, seed {seed}")
            line = {"shape": "hv", "width": width, "color": style[0], "dash": dash}
            lines.append(_curve(name, best, most) | {"line": line})
            ends.append(_end(name, best[-1], style))
    return {
        "data": [*lines, *ends],
        "layout": {
            "height": 380,
            "xaxis": {"title": {"text": "plans judged"}, "rangemode": "tozero"},
            "yaxis": logarithmic_axis("best WER so far, %"),
        },
    }


def _best_so_far(trials: Iterable[TrialRow]) -> list[tuple[int, float]]:
    """(n, lowest WER of the first n trials that is within the budget), from the first such trial on."""
    wers = (trial.wer if trial.within_budget else math.inf for trial in trials)
    return [(n, wer) for n, wer in enumerate(accumulate(wers, min), 1) if wer < math.inf]


def _curve(name: str, best: Sequence[tuple[int, float]], most: int) -> Figure:
    n_done, wer = best[-1]
    return {
        **scatter(name, [*best, (most, wer)] if n_done < most else best, scale=1.0),
        "mode": "lines",
        "hovertemplate": "%{y:.2f} % after %{x}<extra>" + name + "</extra>",
    }


def _end(name: str, best: tuple[int, float], style: tuple[str, str]) -> Figure:
    """A mark at the end of a search."""
    colour, symbol = style
    return {
        **scatter(f"{name}, its end", [best], scale=1.0),
        "mode": "markers",
        "marker": {"size": 9, "symbol": symbol, "color": colour},
        "showlegend": False,
        "hoverinfo": "skip",
    }
