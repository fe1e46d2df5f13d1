"""The table of before and after, line by line, and as plain text for terminals."""

from typing import NamedTuple

from shrinkml.measure.evaluation import Evaluation
from shrinkml.measure.speed_rows import SpeedSetting
from shrinkml.report.goal_words import CHEAPER, headline
from shrinkml.report.record import ExportRow, Report
from shrinkml.report.search_words import optimism, stopped_early, verdict
from shrinkml.report.wording import interval, megabytes, percent, threads_in_words, wer_change


class Fact(NamedTuple):
    """One line of the table of before and after."""

    label: str
    before: str
    after: str
    change: str


def facts(report: Report) -> list[Fact]:
    """The original against the result, line by line."""
    before, after = report.baseline, report.result
    smaller = f"{report.compression_ratio:.2f} times smaller"
    on_disk = f"{report.size_ratio:.2f} times smaller"
    return [
        *_reference_facts(report),
        Fact("WER", percent(before.wer), percent(after.wer), wer_change(after.wer - before.wer)),
        Fact("95 % interval", interval(before.wer_ci95), interval(after.wer_ci95), ""),
        *_formatted_facts(report),
        Fact("CER", percent(before.cer), percent(after.cer), ""),
        Fact("Parameters", f"{before.parameters:,}", f"{after.parameters:,}", smaller),
        *_vocabulary_facts(report),
        *_window_facts(report),
        *_activation_facts(report),
        Fact("On disk", megabytes(before.bytes), megabytes(after.bytes), on_disk),
        *_lever_facts(report),
        *_dropped_facts(report),
        *_mac_facts(report),
        *(_speed_fact(row) for row in report.speedup.settings),
        *(fact for row in report.exports for fact in _export_facts(row, before)),
        *_int8_facts(report),
        *_plain_int8_facts(report),
    ]


def summary_table(report: Report) -> str:
    """The headline and the table of before and after as plain text."""
    first = f"{report.result.n_utterances} test utterances, {report.result.n_words} words"
    rows = [Fact(first, "original", "compressed", ""), *facts(report)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{row.label:<{widths[0]}}  {row.before:>{widths[1]}}  {row.after:>{widths[2]}}  {row.change}".rstrip()
        for row in rows
    ]
    return "\n".join(
        [headline(report), "", *lines, "", *filter(None, (verdict(report), stopped_early(report), optimism(report)))]
    )


def _reference_facts(report: Report) -> list[Fact]:
    """The splits on which errors are differences from the original."""
    if not report.untranscribed:
        return []
    return [Fact(f"No transcripts of {', '.join(report.untranscribed)}", "", "", "WER: words unlike the original's")]


def _formatted_facts(report: Report) -> list[Fact]:
    """The WER with case and punctuation, where the references have them."""
    before, after = report.baseline.formatted_wer, report.result.formatted_wer
    if before is None or after is None:
        return []
    return [Fact("WER with case and punctuation", percent(before), percent(after), wer_change(after - before))]


def _mac_facts(report: Report) -> list[Fact]:
    """The multiply-accumulates, where the goal counts them."""
    if report.goal.resource != "macs":
        return []
    before, after = report.baseline.macs_per_s, report.result.macs_per_s
    change = f"{before / after:.2f} times {CHEAPER['macs']}"
    return [Fact("MACs per second of audio", f"{before / 1e6:.1f} M", f"{after / 1e6:.1f} M", change)]


def _speed_fact(row: SpeedSetting) -> Fact:
    least, most = row.speedup_range
    return Fact(
        f"Real-time factor, batch {row.batch_size}, {threads_in_words(row.threads)}",
        f"{row.rtf_dense:.4f}",
        f"{row.rtf_compressed:.4f}",
        f"{row.speedup:.2f} times as fast ({least:.2f} to {most:.2f})",
    )


def _vocabulary_facts(report: Report) -> list[Fact]:
    """The tokens, where some were dropped, and what that alone cost."""
    row = report.vocabulary
    if row is None:
        return []
    change = f"trimming alone: {wer_change(row.wer - report.sets.dev.baseline_wer)} on dev"
    return [Fact("Tokens of the vocabulary", f"{row.original:,}", f"{row.kept:,}", change)]


def _lever_facts(report: Report) -> list[Fact]:
    """The bytes that each lever leaves of those that the ones before it left, where there are several."""
    before = [report.baseline.bytes, *(row.bytes for row in report.levers)]
    return [
        Fact(f"  by {row.lever}", megabytes(left), megabytes(row.bytes), _smaller_by(row.lever, left / row.bytes))
        for left, row in zip(before, report.levers, strict=False)
    ]


def _dropped_facts(report: Report) -> list[Fact]:
    """The modules that were left out, where some were."""
    if not report.dropped:
        return []
    return [Fact("Modules left out", "", str(len(report.dropped)), ", ".join(report.dropped))]


def _smaller_by(lever: str, ratio: float) -> str:
    """The part of a lever; zeros here and there are multiplied like other weights, for want of kernels that gain."""
    return f"{ratio:.2f} times smaller{', no faster' if lever == 'sparsity' else ''}"


def _window_facts(report: Report) -> list[Fact]:
    """The window, where it is shorter than the original's, or why it is not."""
    row = report.window
    if row is None or not (row.tried or row.tail_s is not None):
        return []
    now = f"the words and {row.tail_s:g} s" if row.tail_s is not None else f"{row.whole_s:g} s"
    tried = [f"{one.tail_s:g} s: {wer_change(one.wer - (row.whole_wer or 0.0))}" for one in row.tried]
    change = f"silence behind the words, on dev: {', '.join(tried)}" if tried else "as the original"
    return [Fact("Window", f"{row.whole_s:g} s", now, change)]


def _activation_facts(report: Report) -> list[Fact]:
    """The rounding of activations, and what it cost with ranges that were observed, and after training."""
    row = report.activations
    if row is None:
        return []
    change = f"on dev, ranges observed: {wer_change(row.observed_wer - row.wer)}"
    if row.tuned_wer is not None:
        left = "" if row.trained else " (not taken)"
        change += f"; trained: {wer_change(row.tuned_wer - row.wer)}{left}"
    return [Fact("Activations", "float", f"{row.bits} bits", change)]


def _int8_facts(report: Report) -> list[Fact]:
    """The WER in torch's int8, where the job asks for that."""
    row = report.torch_int8
    if row is None:
        return []
    return [Fact("In torch, int8", "", percent(row.wer), wer_change(row.wer - report.baseline.wer))]


def _plain_int8_facts(report: Report) -> list[Fact]:
    """The original in int8, which costs no search, and whether it is handed over."""
    row = report.plain_int8
    if row is None:
        return []
    reason = "it meets the goal" if row.meets_goal else "the result is no better"
    handed = f"; {reason}: handed over as original-onnx-int8" if row.handed_over else ""
    size = f"{megabytes(row.bytes)}, {wer_change(row.wer - report.baseline.wer)}{handed}"
    return [Fact("The original in plain int8, for ONNX Runtime", percent(row.wer), "", size)]


def _export_facts(row: ExportRow, original: Evaluation) -> list[Fact]:
    """Against the original; then, of int8, what is known to break first, against the checkpoint that was exported."""
    name = f"For ONNX Runtime{', int8' * row.int8}"
    change = f"{original.bytes / row.bytes:.2f} times smaller, {wer_change(row.wer - original.wer)}"
    found = [Fact(name, "", f"{megabytes(row.bytes)}, {percent(row.wer)}", change)]
    if row.kept_layers:
        found.append(Fact("  layers that it would harm, not in int8", "", ", ".join(row.kept_layers), ""))
    if row.component_wers:
        found += _breaking_facts(row)
    return found


def _breaking_facts(row: ExportRow) -> list[Fact]:
    wers = dict(row.component_wers)
    plain = f"in float {percent(wers.pop('float'))}" if "float" in wers else ""
    alone = ", ".join(f"{percent(wer)} with the {part} alone" for part, wer in wers.items())
    joined = f"  WER of those joined to at most {row.longest_s:.0f} s"
    return [
        Fact(f"  WER of {row.n_utterances} dev utterances in int8", "", alone, plain),
        Fact(joined, "", percent(row.long_wer_exported), f"in float {percent(row.long_wer)}"),
        Fact("  words heard in silence", "", str(row.silence_words_exported), f"in float {row.silence_words}"),
    ]
