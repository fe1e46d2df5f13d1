import statistics

import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.corpora.commands import ACCENTS, VARIANTS, prepare, split_of
from shrinkml.speech.corpora.espeak import Espeak, Voice
from shrinkml.speech.manifest import check_splits, read_manifest

SIZES = {"train": 60, "dev": 20, "test": 20}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Split -> manifest of a small commands task."""
    return prepare(tmp_path_factory.mktemp("data") / "commands", **SIZES)


def test_the_manifests_are_like_any_users(prepared):
    splits = check_splits(prepared)
    assert {split: len(utterances) for split, utterances in splits.items()} == SIZES
    assert all(u.lang == "en" for utterances in splits.values() for u in utterances)


def test_no_sentence_and_no_voice_variant_is_in_two_splits(prepared):
    splits = {split: read_manifest(path) for split, path in prepared.items()}
    for what in (lambda u: u.text, lambda u: u.speaker.partition("+")[2]):
        seen = [{what(u) for u in utterances} for utterances in splits.values()]
        assert sum(map(len, seen)) == len(set().union(*seen))


def test_a_sentence_belongs_to_one_split_by_its_hash(prepared):
    for split, path in prepared.items():
        assert {split_of(u.text) for u in read_manifest(path)} == {split}


def test_utterances_last_about_two_seconds(prepared):
    durations = [u.duration_s for path in prepared.values() for u in read_manifest(path)]
    assert statistics.mean(durations) == pytest.approx(2.0, abs=0.3)
    assert 0.4 < min(durations) < max(durations) < 6.0


@pytest.mark.parametrize("split", VARIANTS)
def test_espeak_has_every_voice(split):
    espeak = Espeak()
    for i, variant in enumerate(VARIANTS[split]):
        espeak.say("on", Voice(f"{ACCENTS[i % len(ACCENTS)]}+{variant}"))


def test_every_accent_is_one_that_espeak_has():
    espeak = Espeak()
    for accent in ACCENTS:
        espeak.say("on", Voice(f"{accent}+m3"))


def test_a_second_call_returns_at_once_with_what_is_there(prepared):
    folder = prepared["train"].parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert prepare(folder, **SIZES) == prepared
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(prepared, tmp_path):
    folder = prepared["train"].parent
    prepare(tmp_path / "again", **SIZES)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == sum(SIZES.values()) + len(SIZES) + 1
    assert all((folder / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in files)
    other = prepare(tmp_path / "again", seed=1, **SIZES)
    assert other["train"].read_text() != prepared["train"].read_text()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ManifestError, match="holds files that were not prepared here; name an empty or a new folder"):
        prepare(tmp_path, **SIZES)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
