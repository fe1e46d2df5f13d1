"""The word losses of single decisions, measured: for the strategies that allocate by sensitivity.

Every measurement is one evaluation of a plan that decides one and leaves all others as large as they may be.
Such plans are usually over the budget: they are counted and told like any other, but cannot be the result.
"""

from collections.abc import Iterator
from itertools import accumulate, islice
from statistics import median

import numpy as np

from agents.search.search import Search
from envs.decision import PerOption
from envs.word_loss import word_loss

TIE = 1e-4  # per lost energy: orders options without a measurable loss, and far below what can be measured


def measure_word_losses(search: Search, *, reserve: int) -> PerOption:
    """The word loss (`envs.word_loss`) of each option alone, never rising with the entry.

    With enough evaluations every entry but the last is measured. With fewer, each layer gets about equally many, first
    the middle of its menu and then always the entry farthest from those known; between them it is interpolated over
    the energy that an entry loses, and beyond them it grows in proportion to that. With fewer evaluations than layers,
    the heaviest layers are measured, and the others get the median of their loss per lost energy.

    Args:
        search: judges the plans.
        reserve: evaluations to leave.
    """
    dense = [len(prices) - 1 for prices in search.budget.weights]
    measured: list[list[tuple[float, float]]] = [[] for _ in dense]
    for layer, entry in islice(_in_turn(search), max(0, search.recorder.evaluations_left - reserve)):
        if search.recorder.finished:
            break
        wer = search.recorder.measure(search.budget.plan([*dense[:layer], entry, *dense[layer + 1 :]]))
        measured[layer].append((1.0 - search.energies[layer][entry], word_loss(wer, search.problem.baseline_wer)))
    return _interpolated(search, measured)


def _in_turn(search: Search) -> Iterator[tuple[int, int]]:
    """Every layer with every entry but its last: the first entry of each layer, heaviest first, then the second, ..."""
    orders = [_spreading(len(prices) - 1) for prices in search.budget.weights]
    heaviest = sorted(range(len(orders)), key=lambda layer: -search.budget.weights[layer][-1])
    for turn in range(max(map(len, orders))):
        yield from ((layer, orders[layer][turn]) for layer in heaviest if turn < len(orders[layer]))


def _spreading(dense: int) -> list[int]:
    """The entries below `dense`: the middle, then always the first of those farthest from `dense` and all before."""
    order: list[int] = []
    while len(order) < dense:
        left = [entry for entry in range(dense) if entry not in order]
        far = max(left, key=lambda entry: min(abs(entry - known) for known in (dense, *order)))
        order.append(far if order else dense // 2)
    return order


def _interpolated(search: Search, measured: list[list[tuple[float, float]]]) -> PerOption:
    curves = []
    for points in measured:
        points.sort()
        lost = [0.0, *(point[0] for point in points)]
        curves.append((lost, list(accumulate((0.0, *(point[1] for point in points)), max))))
    slopes = [losses[-1] / lost[-1] for lost, losses in curves if lost[-1] > 0.0]
    usual = median(slopes) if slopes else 1.0
    return tuple(
        tuple(_at(1.0 - kept, lost, losses, usual) for kept in row)
        for row, (lost, losses) in zip(search.energies, curves, strict=True)
    )


def _at(lost: float, measured: list[float], losses: list[float], usual: float) -> float:
    """The word loss where an entry loses the share `lost` of its layer's energy."""
    slope = losses[-1] / measured[-1] if measured[-1] > 0.0 else usual
    beyond = max(0.0, lost - measured[-1])
    return float(np.interp(lost, measured, losses)) + beyond * slope + TIE * lost
