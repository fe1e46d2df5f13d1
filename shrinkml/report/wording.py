"""A report in words: the headline, the comparison's verdict, the table of before and after."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shrinkml.plan.prices import Resource
from shrinkml.report.speed_table import not_faster, threads_in_words

CHEAPER: dict[Resource, str] = {
    "parameters": "smaller",
    "macs": "cheaper in multiply-accumulates",
    "latency": "as fast at batch 1",
}


TELLING_WORDS = 6  # the least difference that a sign test can tell from chance (two-sided, 5 %), were all on one side


class Fact(NamedTuple):
    """One line of the table of before and after."""

    label: str
    before: str
    after: str
    change: str


def headline(report: Mapping[str, Any]) -> str:
    """Where the smaller model is not faster, and what became of the goal."""
    return " ".join(filter(None, (not_faster(report), goal_in_words(report))))


def goal_in_words(report: Mapping[str, Any]) -> str:
    """Whether the goal was met, what was reached on test, what was missed."""
    allowed = points(report["goal"]["max_wer_increase"])
    change = wer_change(report["result"]["wer"] - report["baseline"]["wer"])
    reached = f"{_reached(report)} with {change} on test (at most {allowed} more allowed)"
    if report["goal_met"]:
        return f"Goal met: {reached}."
    return f"Goal missed: {reached}; {'; '.join(_misses(report))}."


def _reached(report: Mapping[str, Any]) -> str:
    """How much cheaper the result is in what the goal counts, and how much smaller."""
    smaller = f"{report['compression_ratio']:.2f} times smaller"
    resource = resource_of(report)
    if resource == "macs":
        ratio = report["baseline"]["macs_per_s"] / report["result"]["macs_per_s"]
    elif resource == "latency":
        ratio = report["speedup"]["batch1"]
    else:
        return smaller
    return f"{ratio:.2f} times {CHEAPER[resource]}, {smaller},"


def resource_of(report: Mapping[str, Any]) -> Resource:
    """What the goal counts; older reports do not say that it is parameters."""
    resource: Resource = report["goal"].get("resource", "parameters")
    return resource


def _misses(report: Mapping[str, Any]) -> list[str]:
    missed, wanted = report["missed_by"], f"{report['goal']['compression_ratio']:g} times"
    misses = []
    if missed["compression_ratio"] > 0:
        misses.append(f"{missed['compression_ratio']:.2f} short of {wanted}")
    if missed["wer"] > 0:
        misses.append(f"{points(missed['wer'])} of WER too many")
    if missed["wer_at_goal_ratio"] > 0:
        model = f"the best model {wanted} {CHEAPER[resource_of(report)]}"
        misses.append(f"{model} has {points(missed['wer_at_goal_ratio'])} too many on dev")
    return misses


def verdict(report: Mapping[str, Any]) -> str:
    """Whether the searching strategy won against the others it was compared with, and whose plan was taken."""
    name, rows = report["job"]["search"]["strategy"], report["comparison"]
    medians = median_wers(rows)
    others = {strategy: wer for strategy, wer in medians.items() if strategy != name}
    if name not in medians or not others:
        return "No other strategy was run to compare with."
    rival = min(others, key=lambda strategy: others[strategy])
    difference = others[rival] - medians[name]
    outcome = "tied with" if difference == 0 else "won against" if difference > 0 else "lost to"
    n_words = report["sets"]["proxy"]["n_words"]
    most = max(row["evaluations"] for row in rows)
    over_seeds = ", medians over seeds" if len(rows) > len(medians) else ""
    taken, words = report["stages"][-1]["strategy"], round(abs(difference) * n_words)
    chance = ", which may be chance" if 0 < words < TELLING_WORDS else ""
    return (
        f"At equal evaluations (at most {most} each), {name} {outcome} {rival}, the best of the others: "
        f"{percent(medians[name])} against {percent(others[rival])} WER before fine-tuning{over_seeds} "
        f"({words} of {n_words} words{chance}). The plan taken was {taken}'s."
    )


def stopped_early(report: Mapping[str, Any]) -> str:
    """How many plans were not judged to the end, as they could not win; nothing of older reports."""
    trials = report["trials"]
    heard = [trial["heard"] for trial in trials if trial.get("heard", 1.0) < 1.0]
    if not heard:
        return ""
    return (
        f"{len(heard)} of {len(trials)} plans were stopped early, after {100 * statistics.fmean(heard):.0f} % of the "
        "words on average, where they could no longer become the best of their search; their WER is an estimate."
    )


def optimism(report: Mapping[str, Any]) -> str:
    """What the plan taken last loses on the proxy set, where the search chose it, and what on all of dev."""
    finalists = finalists_of(report)
    if not finalists:
        return ""
    taken, sets = finalists[0], report["sets"]
    proxy, dev = (sets[name]["baseline_wer"] for name in ("proxy", "dev"))
    beyond = (taken["dev_wer"] - dev) - (taken["proxy_wer"] - proxy)
    return (
        f"Before fine-tuning the plan taken has {percent(taken['proxy_wer'])} WER on the proxy set, where plans are "
        f"judged, and {percent(taken['dev_wer'])} on all of dev, the original {percent(proxy)} and {percent(dev)}; its "
        f"loss on dev against that on the proxy set: {wer_change(beyond)}."
    )


def finalists_of(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The last stage's plans that were judged again on all of dev, the one taken first; older reports do not say."""
    finalists: Sequence[Mapping[str, Any]] = report["stages"][-1].get("finalists", ()) if report["stages"] else ()
    return finalists


def median_wers(comparison: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Strategy -> median over its seeds of the best plan's WER."""
    wers: dict[str, list[float]] = {}
    for row in comparison:
        wers.setdefault(row["strategy"], []).append(row["wer"])
    return {strategy: statistics.median(values) for strategy, values in wers.items()}


def facts(report: Mapping[str, Any]) -> list[Fact]:
    """The original against the result, line by line."""
    before, after = report["baseline"], report["result"]
    return [
        Fact("WER", percent(before["wer"]), percent(after["wer"]), wer_change(after["wer"] - before["wer"])),
        Fact("95 % interval", interval(before["wer_ci95"]), interval(after["wer_ci95"]), ""),
        Fact("CER", percent(before["cer"]), percent(after["cer"]), ""),
        Fact(
            "Parameters",
            f"{before['parameters']:,}",
            f"{after['parameters']:,}",
            f"{report['compression_ratio']:.2f} times smaller",
        ),
        Fact(
            "On disk",
            megabytes(before["bytes"]),
            megabytes(after["bytes"]),
            f"{report['size_ratio']:.2f} times smaller",
        ),
        *_mac_facts(report),
        *(_speed_fact(row) for row in report["speedup"]["settings"]),
        *(fact for row in report.get("exports", ()) for fact in _export_facts(row, before)),
        *_int8_facts(report),
    ]


def _mac_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Where the goal counts them, the multiply-accumulates."""
    if resource_of(report) != "macs":
        return []
    before, after = (report[key]["macs_per_s"] for key in ("baseline", "result"))
    change = f"{before / after:.2f} times {CHEAPER['macs']}"
    return [Fact("MACs per second of audio", f"{before / 1e6:.1f} M", f"{after / 1e6:.1f} M", change)]


def _speed_fact(row: Mapping[str, Any]) -> Fact:
    least, most = row["speedup_range"]
    return Fact(
        f"Real-time factor, batch {row['batch_size']}, {threads_in_words(row['threads'])}",
        f"{row['rtf_dense']:.4f}",
        f"{row['rtf_compressed']:.4f}",
        f"{row['speedup']:.2f} times as fast ({least:.2f} to {most:.2f})",
    )


def _int8_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Where the job asks for int8, what torch's costs; nothing of older reports."""
    row = report.get("torch_int8")
    if row is None:
        return []
    return [Fact("In torch, int8", "", percent(row["wer"]), wer_change(row["wer"] - report["baseline"]["wer"]))]


def _export_facts(row: Mapping[str, Any], original: Mapping[str, Any]) -> list[Fact]:
    """Against the original; then, of int8, what is known to break first, against the checkpoint that was exported."""
    name = f"For ONNX Runtime{', int8' * row['int8']}"
    size = f"{original['bytes'] / row['bytes']:.2f} times smaller"
    found = [
        Fact(
            name,
            "",
            f"{megabytes(row['bytes'])}, {percent(row['wer'])}",
            f"{size}, {wer_change(row['wer'] - original['wer'])}",
        )
    ]
    if row.get("kept_layers"):
        found.append(Fact("  layers that it would harm, not in int8", "", ", ".join(row["kept_layers"]), ""))
    if row.get("component_wers"):  # absent from older reports
        wers = dict(row["component_wers"])
        plain = f"in float {percent(wers.pop('float'))}" if "float" in wers else ""
        alone = ", ".join(f"{percent(wer)} with the {part} alone" for part, wer in wers.items())
        found += [
            Fact(f"  WER of {row['n_utterances']} dev utterances in int8", "", alone, plain),
            Fact(
                f"  WER of those joined to at most {row['longest_s']:.0f} s",
                "",
                percent(row["long_wer_exported"]),
                f"in float {percent(row['long_wer'])}",
            ),
            Fact(
                "  words heard in silence",
                "",
                str(row["silence_words_exported"]),
                f"in float {row['silence_words']}",
            ),
        ]
    return found


def summary_table(report: Mapping[str, Any]) -> str:
    """The headline and the table of before and after as plain text."""
    n_utterances, n_words = report["result"]["n_utterances"], report["result"]["n_words"]
    rows = [Fact(f"{n_utterances} test utterances, {n_words} words", "original", "compressed", ""), *facts(report)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{row.label:<{widths[0]}}  {row.before:>{widths[1]}}  {row.after:>{widths[2]}}  {row.change}".rstrip()
        for row in rows
    ]
    return "\n".join(
        [headline(report), "", *lines, "", *filter(None, (verdict(report), stopped_early(report), optimism(report)))]
    )


def percent(fraction: float) -> str:
    """0.0123 as "1.23 %"."""
    return f"{100 * fraction:.2f} %"


def points(fraction: float) -> str:
    """An absolute difference of two fractions: 0.003 as "0.30 points"."""
    return f"{100 * fraction:.2f} points"


def wer_change(difference: float) -> str:
    """0.003 as "0.30 points more WER"."""
    if difference == 0:
        return "the same WER"
    return f"{points(abs(difference))} {'more' if difference > 0 else 'less'} WER"


def interval(bounds: Iterable[float]) -> str:
    """(0.01, 0.02) as "1.00 to 2.00 %"."""
    least, most = bounds
    return f"{100 * least:.2f} to {100 * most:.2f} %"


def megabytes(n_bytes: int) -> str:
    """2_500_000 as "2.50 MB"."""
    return f"{n_bytes / 1e6:.2f} MB"
