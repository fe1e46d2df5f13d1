import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.speakers import hold_out_speakers

EVERYONE = [f"s{i}" for i in range(20)]


def test_everyone_is_in_one_split():
    chosen = hold_out_speakers(EVERYONE, {"dev": 2, "test": 3}, seed=0)
    assert {split: len(names) for split, names in chosen.items()} == {"dev": 2, "test": 3, "train": 15}
    assert sorted(set().union(*chosen.values())) == sorted(EVERYONE)


def test_the_draw_depends_on_the_seed_not_on_the_order():
    held_out = {"dev": 2, "test": 3}
    assert hold_out_speakers(EVERYONE, held_out, 0) == hold_out_speakers(reversed(EVERYONE * 2), held_out, 0)
    assert hold_out_speakers(EVERYONE, held_out, 0) != hold_out_speakers(EVERYONE, held_out, 1)


def test_somebody_must_be_left_to_train_on():
    with pytest.raises(ManifestError, match=r"5 speakers are too few to hold out \{'dev': 2, 'test': 3\}"):
        hold_out_speakers(EVERYONE[:5], {"dev": 2, "test": 3}, seed=0)
