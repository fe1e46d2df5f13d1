"""The searches in words: who won, what stopping early saved, what the proxy set flattered."""

import statistics
from collections.abc import Iterable

from shrinkml.report.record import Report
from shrinkml.report.search_rows import ComparisonRow
from shrinkml.report.wording import percent, wer_change

TELLING_WORDS = 6  # the least difference that a sign test can tell from chance (two-sided, 5 %), were all on one side


def verdict(report: Report) -> str:
    """The searching strategy's victory or defeat against the others it was compared with, and whose plan was taken."""
    name, rows = report.strategy, report.comparison
    medians = median_wers(rows)
    others = {strategy: wer for strategy, wer in medians.items() if strategy != name}
    if name not in medians or not others:
        return "No other strategy was run to compare with."
    rival = min(others, key=lambda strategy: others[strategy])
    difference = others[rival] - medians[name]
    outcome = "tied with" if difference == 0 else "won against" if difference > 0 else "lost to"
    n_words = report.sets.proxy.n_words
    most = max(row.evaluations for row in rows)
    over_seeds = ", medians over seeds" if len(rows) > len(medians) else ""
    taken, words = report.steps[-1].strategy, round(abs(difference) * n_words)
    chance = ", which may be chance" if 0 < words < TELLING_WORDS else ""
    return (
        f"At equal evaluations (at most {most} each), {name} {outcome} {rival}, the best of the others: "
        f"{percent(medians[name])} against {percent(others[rival])} WER before fine-tuning{over_seeds} "
        f"({words} of {n_words} words{chance}). The plan taken was {taken}'s."
    )


def median_wers(comparison: Iterable[ComparisonRow]) -> dict[str, float]:
    """Strategy -> median over its seeds of the best plan's WER."""
    wers: dict[str, list[float]] = {}
    for row in comparison:
        wers.setdefault(row.strategy, []).append(row.wer)
    return {strategy: statistics.median(values) for strategy, values in wers.items()}


def stopped_early(report: Report) -> str:
    """The number of plans that were not judged to the end, as they could not win; nothing where all were."""
    heard = [trial.heard for trial in report.trials if trial.heard < 1.0]
    if not heard:
        return ""
    return (
        f"{len(heard)} of {len(report.trials)} plans were stopped early, after {100 * statistics.fmean(heard):.0f} % "
        "of the words on average, where they could no longer become the best of their search; their WER is an estimate."
    )


def optimism(report: Report) -> str:
    """The loss of the plan taken last on the proxy set, where the search chose it, beside that on all of dev."""
    if not report.finalists:
        return ""
    taken, proxy, dev = report.finalists[0], report.sets.proxy.baseline_wer, report.sets.dev.baseline_wer
    beyond = (taken.dev_wer - dev) - (taken.proxy_wer - proxy)
    return (
        f"Before fine-tuning the plan taken has {percent(taken.proxy_wer)} WER on the proxy set, where plans are "
        f"judged, and {percent(taken.dev_wer)} on all of dev, the original {percent(proxy)} and {percent(dev)}; its "
        f"loss on dev against that on the proxy set: {wer_change(beyond)}."
    )
