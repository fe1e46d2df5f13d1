"""The learning rate of a fine-tuning for which the job names none.

Ours: the more factorizing broke, the larger the steps that mend it. On the reference task (whitened factors, 12,000
utterances, WER on dev of a 1.5 % original) a plan that had lost 0.3 points was mended by 5e-4 and made worse by 1.5e-3,
one that had lost 28 points was mended best by the largest rate that did not diverge, 3.5e-3.
"""

import math

RATE = 8.5e-3  # at a WER of 100 points more
LOWEST, HIGHEST = 4e-4, 3.5e-3


def learning_rate_for(lost: float) -> float:
    """The peak learning rate (AdamW) that goes with the square root of what was lost, within bounds.

    Args:
        lost: absolute WER of the factorized model above the original's, as a fraction; below 0 counts as 0.
    """
    return min(HIGHEST, max(LOWEST, RATE * math.sqrt(max(0.0, lost))))
