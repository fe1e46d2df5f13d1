"""Whole speakers set aside, so that a test set holds only people whom the model never heard."""

from collections.abc import Iterable, Mapping

import numpy as np

from shrinkml.errors import ManifestError


def hold_out_speakers(speakers: Iterable[str], held_out: Mapping[str, int], seed: int) -> dict[str, set[str]]:
    """Split -> its speakers: as many as `held_out` asks for each split in it, all others for "train".

    Args:
        speakers: everyone there is.
        held_out: split -> how many speakers.
        seed: of the draw.

    Raises:
        ManifestError: nobody would be left to train on.
    """
    names = sorted(set(speakers))
    if len(names) <= sum(held_out.values()):
        raise ManifestError(f"{len(names)} speakers are too few to hold out {dict(held_out)} and train on the others")
    left = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    chosen = {split: {left.pop() for _ in range(n)} for split, n in held_out.items()}
    return chosen | {"train": set(left)}
