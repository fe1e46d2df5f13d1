"""Racing: a plan is judged part by part, and given up once it can't win against the best plan so far.

Both hear the same utterances, so what counts is the difference of their word errors, utterance by utterance. The plan
is given up where, judged by those heard so far, it would hardly have so many more errors were it as good as its rival
over the whole set: a normal test of the mean difference. The set is finite, so the standard error shrinks to nothing
towards the last utterance (Cochran 1977, Sampling Techniques, chapter 2), and several looks share the error allowed
(Bonferroni).

References:
    Maron and Moore 1993, Hoeffding races, NIPS 6 (candidates that can't win are dropped early).
    Moore and Lee 1994, Efficient algorithms for minimizing cross validation error, ICML (by paired differences).
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist, fmean, stdev
from typing import Protocol

from envs.problem import Judgement
from shrinkml.plan.compression_plan import CompressionPlan

# How often a plan exactly as good as its rival may be given up; better ones are more rarely: `make bench-racing`.
FALSE_STOPS = 0.005

Errors = tuple[int, ...]  # words, of each utterance


class PartEvaluator(Protocol):
    """Judges plans on one part of the set that they are judged on."""

    def __call__(self, plan: CompressionPlan, part: int) -> Errors:
        """The word errors in each utterance of `part`."""
        ...


class RacingJudge:
    """Judges plans by their parts; implements `envs.problem.RacingEvaluator`.

    What it says of a plan depends on that plan and its rival alone, not on what else was judged.
    """

    def __init__(
        self, evaluate: PartEvaluator, words: Sequence[Sequence[int]], *, false_stops: float = FALSE_STOPS
    ) -> None:
        """A judge that asks for each part of a plan once.

        Args:
            evaluate: counts the errors.
            words: of the references, for each utterance of each part; two utterances or more in each part but the last.
            false_stops: how often a plan exactly as good as its rival may be given up.
        """
        self._errors = cache(evaluate)
        self._words = words
        self._n_words = sum(map(sum, words))
        self._n_utterances = sum(map(len, words))
        self._looks = len(words) - 1
        self._false_stops = false_stops

    def __call__(self, plan: CompressionPlan) -> float:
        """The WER of `plan`, judged whole."""
        return sum(sum(self._errors(plan, part)) for part in range(len(self._words))) / self._n_words

    def race(self, plan: CompressionPlan, rival: CompressionPlan) -> Judgement:
        """The WER of `plan`, or what it is thought to be from the parts on which `plan` had lost to `rival`.

        That is the rival's, and the difference on what was heard: always above the rival's.
        """
        differences: list[int] = []
        heard = 0
        for part, words in enumerate(self._words[:-1]):
            pairs = zip(self._errors(plan, part), self._errors(rival, part), strict=True)
            differences += [errors - others for errors, others in pairs]
            heard += sum(words)
            if has_lost(differences, of=self._n_utterances, allowed=self._false_stops / self._looks):
                return Judgement(self(rival) + sum(differences) / heard, heard / self._n_words)
        return Judgement(self(plan))


def has_lost(differences: Sequence[int], *, of: int, allowed: float) -> bool:
    """Return True where a candidate can be given up.

    Args:
        differences: [heard] its errors less its rival's, of the utterances heard; two at least.
        of: utterances in all.
        allowed: how often it may be said of a candidate that is exactly as good.
    """
    n = len(differences)
    standard_error = stdev(differences) * math.sqrt((1 - n / of) / n)
    return fmean(differences) > NormalDist().inv_cdf(1 - allowed) * standard_error
