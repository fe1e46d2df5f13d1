import pytest

from shrinkml.errors import AudioError, ManifestError
from shrinkml.speech.corpora.librispeech import LEFT_OUT, prepare
from shrinkml.speech.manifest import check_splits, read_manifest


@pytest.fixture
def source(make_audio, tmp_path):
    """A corpus of the same layout: six speakers, two utterances each."""
    for speaker in range(6):
        folder = tmp_path / f"corpus/dev-clean/{speaker}/7"
        for i, suffix in enumerate((".flac", ".wav")):
            make_audio(f"corpus/dev-clean/{speaker}/7/{speaker}-7-000{i}{suffix}", pitch_hz=200 + 50 * speaker + 20 * i)
        (folder / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 HELLO THERE\n{speaker}-7-0001 IT'S ME\n")
    return tmp_path / "corpus"


def test_speakers_are_split_and_texts_lowercased(source, tmp_path):
    splits = check_splits(prepare(tmp_path / "libri", source))
    assert {split: len(utterances) for split, utterances in splits.items()} == {"train": 2, "dev": 4, "test": 6}
    assert {u.text for u in splits["train"]} == {"hello there", "it's me"}
    assert len({u.speaker for u in splits["test"]}) == 3


def test_audio_stays_where_it_is(source, tmp_path):
    manifests = prepare(tmp_path / "libri", source)
    assert sorted(path.name for path in (tmp_path / "libri").iterdir()) == [
        "dev.jsonl", "prepared.json", "test.jsonl", "train.jsonl",
    ]  # fmt: skip
    assert all(source in u.audio.parents for utts in check_splits(manifests).values() for u in utts)


def test_longer_utterances_are_left_out_where_there_is_a_limit(source, make_audio, tmp_path):
    make_audio("corpus/dev-clean/3/7/3-7-0000.flac", duration_s=0.8)
    limited = prepare(tmp_path / "limited", source, longest_s=0.7)
    assert sum(map(len, check_splits(limited).values())) == 11
    (left_out,) = read_manifest(tmp_path / "limited" / LEFT_OUT)
    assert (left_out.audio.name, left_out.duration_s) == ("3-7-0000.flac", 0.8)
    assert sum(map(len, check_splits(prepare(tmp_path / "limited", source)).values())) == 12
    assert not (tmp_path / "limited" / LEFT_OUT).exists()


def test_a_folder_without_transcripts_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no LibriSpeech transcripts .*fetch dev-clean\.tar\.gz from openslr"):
        prepare(tmp_path / "libri", tmp_path)


def test_too_few_speakers_are_refused(source, tmp_path):
    with pytest.raises(ManifestError, match="6 speakers are too few to hold out"):
        prepare(tmp_path / "libri", source, test_speakers=4)


def test_missing_audio_is_refused(source, tmp_path):
    (source / "dev-clean/3/7/3-7-0001.wav").unlink()
    with pytest.raises(AudioError, match=r"no audio file .*3-7-0001\.flac"):
        prepare(tmp_path / "libri", source)


def test_the_real_corpus_is_prepared(public_data, tmp_path):
    splits = check_splits(prepare(tmp_path / "libri", public_data / "librispeech_dev_clean_20spk"))
    speakers = {split: len({u.speaker for u in utterances}) for split, utterances in splits.items()}
    assert speakers == {"train": 15, "dev": 2, "test": 3}
    assert sum(map(len, splits.values())) == 1313
    assert sum(u.duration_s for utts in splits.values() for u in utts) / 3600 == pytest.approx(2.70, abs=0.01)
