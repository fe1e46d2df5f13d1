"""What a plan does to the words that a recogniser understood: a measure that adds up over layers."""

import math

MOST_LOST = 0.999  # of the words; beyond, a plan ruins the recogniser, and how much more no longer matters
LEAST_DAMAGE = 1e-3  # added before logarithms are taken: a word in a thousand, below which proxy sets can't tell


def damage_of(wer: float, baseline_wer: float) -> float:
    """-log of the share of words that survive, relative to the model that the search starts from; 0 or more.

    Damages add up if each word survives each layer independently.
    """
    surviving, before = (1.0 - min(value, MOST_LOST) for value in (wer, baseline_wer))
    return max(0.0, math.log(before / surviving))
