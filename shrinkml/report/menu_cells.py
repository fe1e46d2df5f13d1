"""Every layer's menu: the cells of its table and figure, and what was measured of single layers in words."""

from collections.abc import Iterator
from typing import NamedTuple

from shrinkml.report.record import Report
from shrinkml.report.search_rows import MenuEntry
from shrinkml.report.wording import percent


class Cell(NamedTuple):
    """An entry of a layer's menu."""

    layer: str
    rank: str  # or "dense"; with its units, zeros and bits, where there are
    weights_kept: float
    expected_loss: float | None  # nats per token that the outputs are expected to move, the layer alone compressed
    wer: float | None  # the same layer alone, judged; None where it was not, as of the last entry
    added: float | None  # `wer` less that with no layer compressed; None where `wer` is
    chosen: bool


def cells_of(report: Report) -> Iterator[Cell]:
    """Every entry of every layer's menu, in the report's order."""
    for row in report.menus:
        last = row.entries[-1]
        start = last.wer_alone
        for entry in row.entries:
            wer = None if entry is last or start is None else entry.wer_alone
            yield Cell(
                layer=row.name,
                rank=_words_of(entry),
                weights_kept=entry.weights_kept,
                expected_loss=entry.expected_loss,
                wer=wer,
                added=None if wer is None or start is None else wer - start,
                chosen=entry.chosen,
            )


def _words_of(entry: MenuEntry) -> str:
    if entry.dropped is not None:
        return "dropped" if entry.dropped else "kept"
    return choice_in_words(entry.rank, entry.bits, identity=entry.identity, sparsity=entry.sparsity, units=entry.units)


def choice_in_words(
    rank: int | None, bits: int | None, *, identity: bool = False, sparsity: float = 0.0, units: int | None = None
) -> str:
    """A choice as tables and figures show it: "24 with identity, 4 bits", "dense, 70 % zeros", "dense, 96 units"."""
    words = "dense" if rank is None else f"{rank}{' with identity' if identity else ''}"
    zeros = f", {100 * sparsity:.0f} % zeros" if sparsity else ""
    left = "" if units is None else f", {units} units"
    return f"{words}{left}{zeros}{'' if bits is None else f', {bits} bits'}"


def menu_cells(report: Report) -> list[tuple[str, list[Cell]]]:
    """Each layer with its menu."""
    menus: dict[str, list[Cell]] = {}
    for cell in cells_of(report):
        menus.setdefault(cell.layer, []).append(cell)
    return list(menus.items())


def alone_in_words(report: Report) -> str:
    """The layers that alone add most WER, measured and expected at the chosen ranks; the ranks that were cut."""
    return " ".join(filter(None, (_measured_in_words(report), _expected_in_words(report), _cut_in_words(report))))


def _measured_in_words(report: Report) -> str:
    measured = [
        (cell, cell.wer, cell.added) for cell in cells_of(report) if cell.wer is not None and cell.added is not None
    ]
    if not measured:
        return "No strategy of this job measured layers alone; with knapsack among search.baselines, one does."
    worst, wer, most = max(measured, key=lambda one: one[2])
    n_harmless = sum(added <= 0 for _, _, added in measured)
    return (
        f"{len(measured)} plans compressed one layer alone. {n_harmless} of them added no WER; most was added by "
        f"{worst.layer} at rank {worst.rank}: {percent(wer)} from {percent(wer - most)}."
    )


def _expected_in_words(report: Report) -> str:
    chosen = [(cell, cell.expected_loss) for cell in cells_of(report) if cell.chosen and cell.expected_loss]
    if not chosen:
        return ""
    worst, nats = max(chosen, key=lambda pair: pair[1])
    return (
        f"Of the chosen ranks, {worst.layer}'s {worst.rank} is expected to move the outputs most: {nats:.2g} nats per "
        "token, alone."
    )


def _cut_in_words(report: Report) -> str:
    n_cut = sum(len(row.cut) for row in report.menus)
    if not n_cut:
        return ""
    n_left = sum(len(row.entries) - 1 for row in report.menus)
    return (
        f"{n_cut} of {n_left + n_cut} ranks left the menus before the search: alone, each was expected to move the "
        "outputs more than a good plan does in all its layers, or no less than a lower rank of the same layer."
    )
