"""Few utterances that stand for many: what is measured on them is as sure as there is speech in them."""

from collections.abc import Sequence
from itertools import accumulate

from shrinkml.speech.utterance import Utterance


def first_few(utterances: Sequence[Utterance], *, most: int, seconds: float) -> Sequence[Utterance]:
    """The first of `utterances`: at most so many, and no more than `seconds` of speech together; one at least."""
    ends = accumulate(utterance.duration_s for utterance in utterances[:most])
    return utterances[: max(1, sum(end <= seconds for end in ends))]
