from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.manifest import Utterance
from shrinkml.speech.proxy import choose_proxy


def utterances(n: int, n_speakers: int | None) -> list[Utterance]:
    generator = np.random.default_rng(0)
    durations = generator.gamma(4.0, 0.5, size=n)
    speakers = [None if n_speakers is None else f"s{i}" for i in generator.integers(n_speakers or 1, size=n)]
    return [Utterance(Path(f"{i}.wav"), d, "a", s) for i, (d, s) in enumerate(zip(durations, speakers, strict=True))]


@pytest.mark.parametrize("n_speakers", [None, 1, 10])
@pytest.mark.parametrize("n", [1, 7, 100, 400])
def test_the_choice_is_that_many_different_utterances_in_order(n, n_speakers):
    chosen = choose_proxy(utterances(400, n_speakers), n, seed=0)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == n
    assert 0 <= chosen[0] <= chosen[-1] < 400


def test_all_are_taken_when_there_are_fewer():
    assert choose_proxy(utterances(5, 2), 20, seed=0) == [0, 1, 2, 3, 4]


def test_the_choice_depends_on_the_seed_alone():
    everything = utterances(400, 10)
    assert choose_proxy(everything, 50, seed=1) == choose_proxy(everything, 50, seed=1)
    assert choose_proxy(everything, 50, seed=1) != choose_proxy(everything, 50, seed=2)


def test_every_speaker_is_there_in_proportion():
    everything = utterances(400, 10)
    shares = Counter(u.speaker for u in everything)
    for seed in range(5):
        chosen = Counter(everything[i].speaker for i in choose_proxy(everything, 100, seed))
        for speaker, n in shares.items():
            assert abs(chosen[speaker] - n / 4) <= 1  # every fourth of a line in which they stand together


@pytest.mark.parametrize("n_speakers", [None, 10])
def test_the_mean_duration_is_closer_than_that_of_a_random_choice(n_speakers):
    everything = utterances(400, n_speakers)
    durations = np.array([u.duration_s for u in everything])
    generator = np.random.default_rng(1)
    random = [durations[generator.choice(400, 50, replace=False)].mean() for _ in range(50)]
    chosen = [durations[choose_proxy(everything, 50, seed)].mean() for seed in range(50)]
    assert np.std(np.array(chosen) - durations.mean()) < 0.5 * np.std(np.array(random) - durations.mean())


@pytest.mark.parametrize(("n_utterances", "n"), [(5, 0), (5, -1), (0, 3)])
def test_an_empty_choice_is_refused(n_utterances, n):
    with pytest.raises(ManifestError, match=f"cannot choose {n} of {n_utterances} utterances"):
        choose_proxy(utterances(n_utterances, None), n, seed=0)
