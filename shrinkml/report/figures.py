"""The report's figures, as plotly's plain JSON (data and layout).

Everything that comes from a user's model or job is escaped: plotly shows some HTML tags in labels.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate, cycle
from typing import Any

from shrinkml.report.menu_figure import menus_figure
from shrinkml.report.palette import COLOURS, DASHES, NEUTRAL, SYMBOLS, Figure
from shrinkml.report.wording import CHEAPER, percent, resource_of

LEAST_WER = 0.0005  # where a WER of zero is drawn: a logarithmic axis has none
TICKS = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 3, 5)]


def figures(report: Mapping[str, Any]) -> dict[str, Figure]:
    """All figures by the name that the page knows them by."""
    return {
        "plans": plans_figure(report),
        "stages": stages_figure(report),
        "ranks": ranks_figure(report),
        "menus": menus_figure(report),
        "search": search_figure(report),
    }


def pareto_front(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Those (parameters, WER) than which no other is both as small and as good, by size."""
    front: list[tuple[int, float]] = []
    for parameters, wer in sorted(points):
        if not front or wer < front[-1][1]:
            front.append((parameters, wer))
    return front


def plans_figure(report: Mapping[str, Any]) -> Figure:
    """WER against size of every plan that was judged, with the Pareto front, the original and the result.

    Plans that were stopped early are hollow, and not on the front: their WER is an estimate.
    """
    original = (report["baseline"]["parameters"], report["sets"]["proxy"]["baseline_wer"])
    result = (report["result"]["parameters"], report["result"]["wer"])
    trials = report["trials"]
    front = pareto_front([original, *((row["parameters"], row["wer"]) for row in trials if _judged_whole(row))])
    data = [
        _points(strategy, [trial for trial in trials if trial["strategy"] == strategy], style, original[0])
        for strategy, style in _styles(trials).items()
    ]
    data.append(
        {
            **_xy("Pareto front", front),
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
            "xaxis": {
                "type": "log",
                "title": {"text": "million parameters"},
                "tickvals": TICKS,
                "ticktext": _plain(TICKS),
            },
            "yaxis": {"type": "log", "title": {"text": "WER, %"}, "tickvals": TICKS, "ticktext": _plain(TICKS)},
        },
    }


def stages_figure(report: Mapping[str, Any]) -> Figure:
    """WER of every stage before and after fine-tuning, with the most that the goal allows."""
    stages = report["stages"]
    labels = [
        f"{stage['stage']}: {stage.get('reached_ratio', stage['compression_ratio']):.2f}x"  # absent from older reports
        + ("" if stage["accepted"] else ", missed")
        for stage in stages
    ]
    dev = report["sets"]["dev"]
    lines = [("original", dev["baseline_wer"], "dot")]
    lines.append(("most allowed", dev["baseline_wer"] + report["goal"]["max_wer_increase"], "dash"))
    bars = (("before fine-tuning", "wer_before", COLOURS[1]), ("after fine-tuning", "wer_after", COLOURS[0]))
    return {
        "data": [
            {
                "type": "bar",
                "name": name,
                "x": labels,
                "y": [100 * stage[key] for stage in stages],
                "text": [percent(stage[key]) for stage in stages],
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{text}<extra>" + name + "</extra>",
                "marker": {"color": colour},
            }
            for name, key, colour in bars
        ],
        "layout": {
            "height": 380,
            "barmode": "group",
            "xaxis": {
                "title": {"text": f"stage: times {CHEAPER[resource_of(report)]}"},
                "type": "category",
                "showgrid": False,
            },
            "yaxis": {"title": {"text": "WER on dev, %"}, "rangemode": "tozero"},
            "shapes": [_level(*line) for line in lines],
        },
    }


def ranks_figure(report: Mapping[str, Any]) -> Figure:
    """Rank of every layer, in front of its break-even rank."""
    layers = list(reversed(report["layers"]))  # plotly draws the first at the bottom
    names = [escape(layer["name"]) for layer in layers]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": "break-even rank",
                "y": names,
                "x": [layer["break_even_rank"] for layer in layers],
                "marker": {"color": NEUTRAL, "opacity": 0.3},
                "hovertemplate": "break-even at rank %{x}<extra>%{y}</extra>",
            },
            {
                "type": "bar",
                "orientation": "h",
                "name": "rank",
                "y": names,
                "x": [layer["rank"] or 0 for layer in layers],
                "width": 0.45,
                "text": ["dense" if layer["rank"] is None else str(layer["rank"]) for layer in layers],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": COLOURS[0]},
                "customdata": ["{} x {}".format(*layer["shape"]) for layer in layers],
                "hovertemplate": "rank %{text}, matrix %{customdata}<extra>%{y}</extra>",
            },
        ],
        "layout": {
            "height": 110 + 26 * len(layers),
            "barmode": "overlay",
            "xaxis": {"title": {"text": "rank"}},
            "yaxis": {"automargin": True},
        },
    }


def search_figure(report: Mapping[str, Any]) -> Figure:
    """Best WER so far against evaluations, for every strategy and seed of the last stage.

    Plans over the stage's budget, which only measured a layer, count as evaluations but are not the best of anything.
    The line of a search that ended early goes on flat: it has no better plan to offer, however many are judged.
    """
    last = max((trial["stage"] for trial in report["trials"]), default=0)
    curves: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for trial in report["trials"]:
        if trial["stage"] == last:
            curves.setdefault((trial["strategy"], trial["seed"]), []).append(trial)
    most = max(map(len, curves.values()), default=0)
    lines, ends = [], []
    for strategy, style in _styles(report["trials"]).items():
        seeds = sorted(seed for name, seed in curves if name == strategy)
        width = 3.0 if strategy == report["job"]["search"]["strategy"] else 1.5
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
            "yaxis": {
                "type": "log",
                "title": {"text": "best WER so far, %"},
                "tickvals": TICKS,
                "ticktext": _plain(TICKS),
            },
        },
    }


def _best_so_far(trials: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """(n, lowest WER of the first n trials that is within the budget), from the first such trial on."""
    wers = (trial["wer"] if trial["within_budget"] else math.inf for trial in trials)
    return [(n, wer) for n, wer in enumerate(accumulate(wers, min), 1) if wer < math.inf]


def _curve(name: str, best: Sequence[tuple[int, float]], most: int) -> Figure:
    n_done, wer = best[-1]
    return {
        **_xy(name, [*best, (most, wer)] if n_done < most else best, scale=1.0),
        "mode": "lines",
        "hovertemplate": "%{y:.2f} % after %{x}<extra>" + name + "</extra>",
    }


def _end(name: str, best: tuple[int, float], style: tuple[str, str]) -> Figure:
    """Where a search ended."""
    colour, symbol = style
    return {
        **_xy(f"{name}, its end", [best], scale=1.0),
        "mode": "markers",
        "marker": {"size": 9, "symbol": symbol, "color": colour},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _styles(trials: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Strategy -> colour and symbol, the same in every figure."""
    strategies = dict.fromkeys(trial["strategy"] for trial in trials)
    return {name: (COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(strategies)}


def _points(strategy: str, trials: Sequence[Mapping[str, Any]], style: tuple[str, str], dense: int) -> Figure:
    colour, symbol = style
    symbols = [symbol if _judged_whole(trial) else f"{symbol}-open" for trial in trials]
    return {
        **_xy(escape(strategy), [(trial["parameters"], trial["wer"]) for trial in trials]),
        "mode": "markers",
        "marker": {"size": 7, "symbol": symbols, "color": colour, "opacity": 0.65},
        "customdata": [[trial["stage"], trial["seed"], dense / trial["parameters"]] for trial in trials],
        "hovertemplate": "%{y:.2f} % WER, %{customdata[2]:.2f} times smaller<br>stage %{customdata[0]}, "
        "seed %{customdata[1]}<extra>" + escape(strategy) + "</extra>",
    }


def _judged_whole(trial: Mapping[str, Any]) -> bool:
    """Whether all words were heard; so it was in older reports, which do not say."""
    heard: float = trial.get("heard", 1.0)
    return heard == 1.0


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


def _mark(name: str, point: tuple[int, float], symbol: str, where: str) -> Figure:
    return {
        **_xy(f"{name} ({where})", [point]),
        "mode": "markers",
        "marker": {"size": 15, "symbol": symbol, "color": "#c2332f", "line": {"width": 1, "color": "#ffffff"}},
        "hovertemplate": f"{percent(point[1])} WER, {point[0]:,} parameters<extra>{name}</extra>",
    }


def _xy(name: str, points: Sequence[tuple[int, float]], *, scale: float = 1e-6) -> Figure:
    """A scatter trace of (count, WER) points: counts times `scale`, WER in percent."""
    return {
        "type": "scatter",
        "name": name,
        "x": [scale * count for count, _ in points],
        "y": [100 * max(wer, LEAST_WER) for _, wer in points],
    }


def _plain(ticks: Iterable[float]) -> list[str]:
    return [f"{tick:g}" for tick in ticks]
