import numpy as np
import pytest
import soundfile

from shrinkml.errors import ManifestError, UnknownNameError
from shrinkml.speech.corpora.digits import SAMPLE_RATE_HZ, WORDS, prepare
from shrinkml.speech.manifest import check_splits

SIZES = {"train": 30, "dev": 10, "test": 10}
SPEAKERS = ("anna", "ben", "carl")
TAKES = (0, 10, 20, 21)  # one of test, one of dev, two of train

RECORDING = SAMPLE_RATE_HZ // 10  # samples
QUIET = 200  # room noise stays below, the faintest recording is five times as loud


def level(digit: int, speaker: int, take: int) -> int:
    """The one sample value that fills a recording, so that a string shows which recordings it holds."""
    return 1000 + 2000 * digit + 400 * speaker + 10 * take


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A data set of the same layout, its recordings constants of 0.1 s."""
    folder = tmp_path_factory.mktemp("fsdd")
    (folder / "recordings").mkdir()
    (folder / "recordings" / "notes.wav").touch()
    for digit in range(10):
        for i, speaker in enumerate(SPEAKERS):
            for take in TAKES:
                samples = np.full(RECORDING, level(digit, i, take), dtype=np.int16)
                soundfile.write(folder / "recordings" / f"{digit}_{speaker}_{take}.wav", samples, SAMPLE_RATE_HZ)
    return folder


def recordings_in(path) -> list[tuple[int, int, int]]:
    """(digit, speaker, take) of every recording that a string was joined from."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    loud = np.abs(samples) > QUIET
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
    heard = [samples[start : start + RECORDING].mean() for start in starts]
    # The nearest level: room noise and rounding to 16 bits move the mean by less than a step.
    known = {level(d, s, t): (d, s, t) for d in range(10) for s in range(len(SPEAKERS)) for t in TAKES}
    return [known[min(known, key=lambda value: abs(value - mean))] for mean in heard]


def test_strings_say_what_their_text_says_by_one_speaker(source, tmp_path):
    splits = check_splits(prepare(tmp_path / "digits", source, **SIZES))
    assert {split: len(utterances) for split, utterances in splits.items()} == SIZES
    for utterance in splits["train"]:
        parts = recordings_in(utterance.audio)
        assert [WORDS[digit] for digit, _, _ in parts] == utterance.text.split()
        assert 3 <= len(parts) <= 6
        assert len({speaker for _, speaker, _ in parts}) == 1


def test_no_recording_is_in_two_splits(source, tmp_path):
    splits = check_splits(prepare(tmp_path / "digits", source, **SIZES))
    takes = {split: {part[2] for u in utts for part in recordings_in(u.audio)} for split, utts in splits.items()}
    assert takes == {"train": {20, 21}, "dev": {10}, "test": {0}}
    assert all(u.speaker is None for utterances in splits.values() for u in utterances)


def test_speakers_can_be_held_out_instead(source, tmp_path):
    splits = check_splits(prepare(tmp_path / "digits", source, hold_out="speakers", **SIZES))
    speakers = {split: {u.speaker for u in utterances} for split, utterances in splits.items()}
    assert sorted(map(len, speakers.values())) == [1, 1, 1]
    assert set().union(*speakers.values()) == set(SPEAKERS)
    assert {part[2] for u in splits["test"] for part in recordings_in(u.audio)} == set(TAKES)


def test_pauses_last_50_to_250_ms(source, tmp_path):
    for path in sorted(prepare(tmp_path / "digits", source, **SIZES)["test"].parent.glob("test/*.flac")):
        samples, _ = soundfile.read(path, dtype="int16")
        edges = np.flatnonzero(np.diff(np.concatenate([[1], np.abs(samples) > QUIET, [1]]).astype(int)))
        pauses_s = np.diff(edges)[::2] / SAMPLE_RATE_HZ
        assert ((pauses_s >= 0.0499) & (pauses_s <= 0.2501)).all()


def test_the_same_seed_gives_the_same_bytes(source, tmp_path):
    first, second = (prepare(tmp_path / name, source, **SIZES)["train"].parent for name in "ab")
    for path in first.rglob("*.flac"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_a_folder_that_is_not_the_data_set_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"is not the Free Spoken Digit Dataset .*fetch it from github\.com/Jak"):
        prepare(tmp_path / "digits", tmp_path / "nowhere", **SIZES)
    assert not (tmp_path / "digits").exists()


def test_an_unknown_way_to_hold_out_is_refused(source, tmp_path):
    with pytest.raises(UnknownNameError, match=r"no way to hold out named 'speaker'.*Did you mean 'speakers'"):
        prepare(tmp_path / "digits", source, hold_out="speaker", **SIZES)


def test_the_real_data_set_is_prepared(public_data, tmp_path):
    splits = check_splits(prepare(tmp_path / "digits", public_data / "fsdd", train=50, dev=20, test=20))
    assert {word for u in splits["train"] for word in u.text.split()} == set(WORDS)
    assert all(0.8 < u.duration_s < 8.0 for utterances in splits.values() for u in utterances)
