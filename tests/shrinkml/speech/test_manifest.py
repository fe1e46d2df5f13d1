import json
import os

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shrinkml.errors import ManifestError
from shrinkml.speech.manifest import (
    HEAD_BYTES,
    MAX_SHOWN,
    Utterance,
    check_splits,
    check_words,
    read_manifest,
    write_manifest,
)
from shrinkml.speech.normalisers import Normaliser
from shrinkml.speech.text import normalise


@pytest.fixture
def make_manifest(tmp_path, make_audio):
    """Writes a manifest of one new recording per given pitch; `speaker` says who speaks them all."""

    def make(name, pitches=(300.0, 400.0), *, speaker=None):
        files = [make_audio(f"{name}-audio/{i}.flac", pitch_hz=pitch) for i, pitch in enumerate(pitches)]
        path = tmp_path / f"{name}.jsonl"
        write_manifest(path, [Utterance(file, 0.5, f"word {i}", speaker) for i, file in enumerate(files)])
        return path

    return make


def test_what_is_written_is_read_back(make_audio, tmp_path):
    utterances = [
        Utterance(make_audio("x/a.flac"), 0.5, "grüß gott", "anna", "de"),
        Utterance(make_audio("b.flac"), 0.5, "hello"),
    ]
    write_manifest(tmp_path / "m.jsonl", utterances)
    assert read_manifest(tmp_path / "m.jsonl") == utterances


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1).filter(normalise))
def test_any_text_survives(make_audio, tmp_path, text):
    utterance = Utterance(make_audio("a.flac"), 0.5, text)
    write_manifest(tmp_path / "m.jsonl", [utterance])
    assert read_manifest(tmp_path / "m.jsonl") == [utterance]


def test_audio_paths_are_relative_so_the_folder_can_move(make_manifest, tmp_path):
    make_manifest("train")
    assert json.loads((tmp_path / "train.jsonl").read_text().split("\n")[0])["audio_filepath"] == "train-audio/0.flac"
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert read_manifest(moved / "train.jsonl")[0].audio == moved / "train-audio/0.flac"
    moved.rename(tmp_path)


def test_blank_lines_are_skipped_but_counted(make_manifest):
    path = make_manifest("train")
    path.write_text("\n\n" + path.read_text() + "{\n")
    with pytest.raises(ManifestError, match=r"(?s)1 problem in the data:.*train\.jsonl:5: broken JSON"):
        read_manifest(path)


def test_every_bad_line_is_told_with_its_number(make_manifest):
    path = make_manifest("train", pitches=(300.0, 400.0, 500.0))
    first, second, third = path.read_text().split("\n")[:3]
    path.write_text("\n".join([first.replace("0.5", "9.5"), second, third.replace("text", "txt")]))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    told = str(caught.value).split("\n")
    assert told[0] == "3 problems in the data:"
    assert told[1].endswith("lasts 0.50 s")
    assert "train.jsonl:1: duration is 9.5 s" in told[1]
    assert "train.jsonl:3: unknown key 'txt'" in told[2]
    assert "train.jsonl:3: no 'text'" in told[3]


def test_only_the_first_problems_are_shown_and_the_others_counted(tmp_path):
    (tmp_path / "m.jsonl").write_text("{\n" * (MAX_SHOWN + 5))
    with pytest.raises(ManifestError, match=f"^{MAX_SHOWN + 5} problems") as caught:
        read_manifest(tmp_path / "m.jsonl")
    told = str(caught.value).split("\n")
    assert len(told) == 1 + MAX_SHOWN + 1
    assert told[-1].strip() == "and 5 more"


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"gone\.jsonl: cannot be read: .*No such file"):
        read_manifest(tmp_path / "gone.jsonl")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match=r"m\.jsonl: cannot be read: .*utf-8"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_manifest_is_refused(tmp_path, content):
    (tmp_path / "m.jsonl").write_text(content)
    with pytest.raises(ManifestError, match="holds no utterances"):
        read_manifest(tmp_path / "m.jsonl")


def test_sound_splits_come_back_by_name(make_manifest):
    paths = {
        "train": make_manifest("train", (300.0, 400.0), speaker="anna"),
        "test": make_manifest("test", (500.0,), speaker="peter"),
    }
    splits = check_splits(paths)
    assert {split: len(utterances) for split, utterances in splits.items()} == {"train": 2, "test": 1}
    assert splits["test"] == read_manifest(paths["test"])


def test_a_speaker_in_two_splits_is_refused(make_manifest):
    paths = {"train": make_manifest("a", (300.0,), speaker="anna"), "dev": make_manifest("b", (400.0,), speaker="anna")}
    with pytest.raises(ManifestError, match="speaker 'anna' is in train and dev; a speaker belongs in one split"):
        check_splits(paths)


def test_the_same_audio_in_two_splits_is_refused_whatever_it_is_called(make_manifest, tmp_path):
    paths = {"train": make_manifest("a", (300.0, 400.0)), "test": make_manifest("b", (500.0,))}
    samples, rate_hz = soundfile.read(tmp_path / "a-audio/1.flac", dtype="int16")
    soundfile.write(tmp_path / "copy.wav", samples, rate_hz)
    write_manifest(paths["test"], [Utterance(tmp_path / "copy.wav", 0.5, "word")])
    with pytest.raises(ManifestError, match=r"the same audio is in train and test: .*a-audio/1\.flac, .*copy\.wav"):
        check_splits(paths)


def test_the_same_audio_twice_in_one_split_is_allowed(make_manifest):
    assert len(check_splits({"train": make_manifest("a", (300.0, 300.0))})["train"]) == 2


def test_audio_with_a_good_header_that_cannot_be_decoded_is_told_when_it_is_compared(make_manifest, tmp_path):
    paths = {"train": make_manifest("a", (300.0,)), "test": make_manifest("b", (400.0,))}
    broken = tmp_path / "b-audio/0.flac"
    content = broken.read_bytes()
    start, n = len(content) // 4, len(content) // 8
    broken.write_bytes(content[:start] + bytes(n) + content[start + n :])
    with pytest.raises(ManifestError, match=r"test: cannot read .*b-audio/0\.flac as audio"):
        check_splits(paths)


def test_problems_of_all_splits_are_told_at_once(make_manifest, tmp_path):
    paths = {
        "train": make_manifest("a", (300.0,), speaker="anna"),
        "dev": tmp_path / "gone.jsonl",
        "test": make_manifest("c", (300.0,), speaker="anna"),
    }
    paths["train"].write_text(paths["train"].read_text() + "{\n")
    with pytest.raises(ManifestError, match=r"^4 problems") as caught:
        check_splits(paths)
    for problem in ("a.jsonl:2: broken JSON", "gone.jsonl: cannot be read", "speaker 'anna'", "the same audio"):
        assert problem in str(caught.value)


def test_references_without_a_word_for_the_normaliser_are_told(make_manifest):
    utterances = read_manifest(make_manifest("train"))
    check_words(utterances, Normaliser("keeps-all/1", str))
    with pytest.raises(
        ManifestError, match=r"(?s)^2 problems.*0\.flac has the text 'word 0', of which drops-all/1 leaves"
    ):
        check_words(utterances, Normaliser("drops-all/1", lambda text: ""))


def test_a_byte_order_mark_is_skipped(make_manifest):
    path = make_manifest("train")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_manifest(path)


def test_recordings_without_transcripts_will_do_where_they_are_asked_for(tmp_path, make_audio):
    lines = [
        {"audio_filepath": make_audio(f"{n}.flac", duration_s=0.5 + n).name, "duration": 0.5 + n} for n in range(2)
    ]
    manifest = tmp_path / "audio.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    assert [utterance.text for utterance in read_manifest(manifest, needs_text=False)] == ["", ""]
    with pytest.raises(ManifestError, match="no 'text'"):
        read_manifest(manifest)
    manifest.write_text("\n".join(map(json.dumps, [lines[0], {**lines[1], "text": "stop"}])))
    with pytest.raises(ManifestError, match="1 of 2 lines have no text; allowed: a text in every line, or in none"):
        read_manifest(manifest, needs_text=False)


def test_only_the_first_lines_are_looked_at_where_no_more_are_asked_for(make_manifest):
    path = make_manifest("dev")
    path.write_text(path.read_text() + "no json\n")
    assert len(check_splits({"dev": path}, first=2)["dev"]) == 2
    with pytest.raises(ManifestError, match=r"dev.jsonl:3: broken JSON"):
        check_splits({"dev": path}, first=3)


def test_of_a_manifest_of_one_endless_line_a_mebibyte_is_read(tmp_path):
    (tmp_path / "dev.jsonl").write_text("x" * (HEAD_BYTES + 1))
    with pytest.raises(ManifestError, match="holds no utterances"):
        check_splits({"dev": tmp_path / "dev.jsonl"}, first=3)


def test_a_manifest_that_is_too_large_or_a_pipe_is_refused(make_manifest, tmp_path):
    path = make_manifest("dev")
    n_bytes = path.stat().st_size
    assert check_splits({"dev": path}, most_bytes=n_bytes)
    with pytest.raises(ManifestError, match=f"{n_bytes} bytes, and at most {n_bytes - 1} are allowed"):
        check_splits({"dev": path}, most_bytes=n_bytes - 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ManifestError, match="no regular file"):
        read_manifest(tmp_path / "pipe")


def test_a_manifest_of_nothing_but_errors_is_given_up(tmp_path):
    (tmp_path / "dev.jsonl").write_text("{}\n" * 100_000)
    with pytest.raises(ManifestError) as refusal:
        read_manifest(tmp_path / "dev.jsonl")
    assert str(refusal.value).startswith("1003 problems in the data")
    assert "dev.jsonl:334" not in str(refusal.value)
    assert len(str(refusal.value)) < 10_000
