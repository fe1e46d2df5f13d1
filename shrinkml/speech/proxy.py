"""The proxy set: a few utterances on which plans are judged in place of the whole dev set."""

from collections.abc import Sequence

import numpy as np

from shrinkml.errors import ManifestError
from shrinkml.speech.manifest import Utterance


def choose_proxy(utterances: Sequence[Utterance], n: int, seed: int) -> list[int]:
    """The indices, ascending, of `n` utterances (all of them if there are fewer) that stand for the whole.

    Stratified by speaker and, within a speaker, by duration: the utterances are lined up speaker by speaker, by rising
    and falling duration in turn, and every (len / n)-th is taken from a random start on. So every speaker is there in
    proportion, with short and long utterances alike.

    Args:
        utterances: to choose from.
        n: how many, at least 1.
        seed: of the order of the speakers and of the start; the same seed gives the same choice.

    Raises:
        ManifestError: nothing to choose from, or `n` below 1.
    """
    if n < 1 or not utterances:
        raise ManifestError(f"cannot choose {n} of {len(utterances)} utterances; allowed: at least 1 of at least 1")
    n = min(n, len(utterances))
    generator = np.random.default_rng(seed)
    line = _lined_up(utterances, generator)
    places = (np.arange(n) + generator.random()) * len(line) / n
    return sorted(line[int(place)] for place in places)


def _lined_up(utterances: Sequence[Utterance], generator: np.random.Generator) -> list[int]:
    """All indices: speakers in random order, each one's utterances by duration, rising and falling in turn."""
    by_speaker: dict[str | None, list[int]] = {}
    for index in sorted(range(len(utterances)), key=lambda i: utterances[i].duration_s):
        by_speaker.setdefault(utterances[index].speaker, []).append(index)
    groups = [by_speaker[speaker] for speaker in sorted(by_speaker, key=lambda speaker: speaker or "")]
    line: list[int] = []
    for turn, place in enumerate(generator.permutation(len(groups))):
        line += groups[place][:: 1 if turn % 2 == 0 else -1]
    return line
