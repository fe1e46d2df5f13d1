"""What the figures are drawn with; colours of text and grid are the page's business."""

from typing import Any

Figure = dict[str, Any]

# Told apart by colour-blind eyes, by 3:1 or more from both backgrounds of the page, and by their symbols.
COLOURS = ("#2f7fd0", "#d9772b", "#1f9e89", "#c74f8b", "#8e63ce", "#8a8f1f", "#9a6b52", "#1693b5")
DASHES = ("solid", "dot", "dash", "dashdot")  # of a strategy's seeds
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "hexagon")
NEUTRAL = "#868e99"
