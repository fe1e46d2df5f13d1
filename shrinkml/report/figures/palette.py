"""Colours, dashes and symbols of the figures; colours of text and grid are the page's business."""

from collections.abc import Iterable

# Told apart by colour-blind eyes, by 3:1 or more from both backgrounds of the page, and by their symbols.
COLOURS = ("#2f7fd0", "#d9772b", "#1f9e89", "#c74f8b", "#8e63ce", "#8a8f1f", "#9a6b52", "#1693b5")
DASHES = ("solid", "dot", "dash", "dashdot")  # of a strategy's seeds
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "hexagon")
NEUTRAL = "#868e99"


def strategy_styles(strategies: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Strategy -> colour and symbol, the same in every figure that lists them in the same order."""
    names = dict.fromkeys(strategies)
    return {name: (COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(names)}
