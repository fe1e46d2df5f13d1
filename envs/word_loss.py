"""The word loss of a plan: how many of the words that a recogniser understood it costs, on a scale that adds up.

It is -log of the share of words that survive (nats per word), and another quantity than the expected loss (nats per
token): that one is measured on scores, before any plan is judged, this one on transcripts.
"""

import math

MOST_LOST = 0.999  # of the words; beyond, a plan ruins the recogniser, and how much more no longer matters
LEAST_WORD_LOSS = 1e-3  # added before logarithms are taken: a word in a thousand, below which proxy sets can't tell


def word_loss(wer: float, baseline_wer: float) -> float:
    """-log of the share of words that survive, relative to the model that the search starts from; 0 or more.

    Word losses add up if each word survives each layer independently.
    """
    surviving, before = (1.0 - min(value, MOST_LOST) for value in (wer, baseline_wer))
    return max(0.0, math.log(before / surviving))
