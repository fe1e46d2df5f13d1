import json

import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.corpora.importers import IMPORTERS, import_audiofolder, import_kaldi
from shrinkml.speech.manifest import read_manifest


@pytest.fixture
def kaldi(make_audio, tmp_path):
    """A Kaldi data directory of two utterances."""
    make_audio("kaldi/a.flac", duration_s=0.5)
    other = make_audio("elsewhere/b.flac", duration_s=0.7)
    folder = tmp_path / "kaldi"
    (folder / "wav.scp").write_text(f"anna-1 a.flac\nben-1\t{other}\n")
    (folder / "text").write_text("anna-1 turn on the lights\nben-1 stop\n")
    (folder / "utt2spk").write_text("anna-1 anna\nben-1 ben\n")
    return folder


@pytest.fixture
def audiofolder(make_audio, tmp_path):
    """A folder of two recordings, without metadata."""
    for name in ("a.flac", "deep/b.flac"):
        make_audio(f"hub/{name}")
    return tmp_path / "hub"


ROWS = [
    {"file_name": "a.flac", "transcription": "turn on, please", "speaker_id": 12, "age": 40},
    {"file_name": "deep/b.flac", "transcription": "stop", "speaker_id": "", "age": None},
]


def test_a_kaldi_directory_becomes_a_manifest(kaldi, tmp_path):
    written = import_kaldi(kaldi, tmp_path / "out" / "m.jsonl")
    read = read_manifest(tmp_path / "out" / "m.jsonl")
    assert [(u.text, u.speaker, u.duration_s) for u in read] == [
        ("turn on the lights", "anna", 0.5),
        ("stop", "ben", 0.7),
    ]
    assert [u.audio for u in read] == [u.audio for u in written]


def test_a_kaldi_directory_needs_no_speakers(kaldi, tmp_path):
    (kaldi / "utt2spk").unlink()
    assert [u.speaker for u in import_kaldi(kaldi, tmp_path / "m.jsonl")] == [None, None]


def test_a_shell_pipe_is_refused_and_not_run(kaldi, tmp_path):
    (kaldi / "wav.scp").write_text(f"anna-1 touch {tmp_path / 'ran'} |\nben-1 sph2pipe b.sph |\n")
    with pytest.raises(ManifestError, match=r"(?s)2 problems.*'anna-1' is a command; write its output to a file"):
        import_kaldi(kaldi, tmp_path / "m.jsonl")
    assert not (tmp_path / "ran").exists()


def test_segments_are_refused(kaldi, tmp_path):
    (kaldi / "segments").write_text("anna-1 a 0.0 0.2\n")
    with pytest.raises(ManifestError, match="segments: parts of recordings are not supported; cut them into files"):
        import_kaldi(kaldi, tmp_path / "m.jsonl")


def test_all_that_is_wrong_with_a_kaldi_directory_is_told_at_once(kaldi, tmp_path):
    (kaldi / "text").write_text("anna-1 hello\nanna-1 again\ncarl-1 hi\ndora-1\n")
    with pytest.raises(ManifestError, match=r"^4 problems") as caught:
        import_kaldi(kaldi, tmp_path / "m.jsonl")
    for problem in (
        "text:2: a second line for 'anna-1'",
        "text:4: nothing after 'dora-1'",
        "no text for 'ben-1'",
        "no audio for 'carl-1'",
    ):
        assert problem in str(caught.value)
    assert not (tmp_path / "m.jsonl").exists()


@pytest.mark.parametrize("name", ["wav.scp", "text"])
def test_a_kaldi_directory_without_its_files_is_refused(kaldi, tmp_path, name):
    (kaldi / name).unlink()
    with pytest.raises(ManifestError, match=f"no file .*{name}; a Kaldi directory holds"):
        import_kaldi(kaldi, tmp_path / "m.jsonl")


def write_jsonl(folder, rows=ROWS):
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(folder):
    text = 'file_name,transcription,speaker_id,age\na.flac,"turn on, please",12,40\ndeep/b.flac,stop,,\n'
    (folder / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())  # as spreadsheets write it


@pytest.mark.parametrize("write", [write_jsonl, write_csv])
def test_an_audiofolder_becomes_a_manifest(audiofolder, tmp_path, write):
    write(audiofolder)
    import_audiofolder(audiofolder, tmp_path / "m.jsonl")
    read = read_manifest(tmp_path / "m.jsonl")
    assert [(u.audio.name, u.text, u.speaker) for u in read] == [
        ("a.flac", "turn on, please", "12"),
        ("b.flac", "stop", None),
    ]


@pytest.mark.parametrize("column", ["text", "sentence"])
def test_the_text_may_have_other_names(audiofolder, tmp_path, column):
    write_jsonl(audiofolder, [{"file_name": "a.flac", column: "hello"}])
    assert import_audiofolder(audiofolder, tmp_path / "m.jsonl")[0].text == "hello"


def test_all_rows_that_are_wrong_are_told_at_once(audiofolder, tmp_path):
    write_jsonl(audiofolder, [ROWS[0], {"file_name": "a.flac"}, {"text": "hello"}, ["a.flac", "hello"]])
    metadata = audiofolder / "metadata.jsonl"
    metadata.write_text(metadata.read_text() + "{\n")
    with pytest.raises(ManifestError, match=r"^4 problems") as caught:
        import_audiofolder(audiofolder, tmp_path / "m.jsonl")
    assert "metadata.jsonl:2: a row needs file_name and one of transcription, text, sentence" in str(caught.value)
    assert "metadata.jsonl:5: broken JSON" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"transcription": 7}, r"metadata\.jsonl:1: text is 7; allowed: a string"),
        ({"transcription": ["a"]}, r"metadata\.jsonl:1: text is \['a'\]; allowed: a string"),
        ({"transcription": "..."}, r"metadata\.jsonl:1: text is '\.\.\.'; allowed: at least one word"),
        ({"transcription": "\ud800"}, r"metadata\.jsonl:1: text is '\\ud800', which holds half a character"),
        ({"speaker_id": 1.5}, r"metadata\.jsonl:1: speaker is 1\.5; allowed: a string"),
        ({"speaker_id": False}, r"metadata\.jsonl:1: speaker is False; allowed: a string"),
        ({"file_name": 3}, r"metadata\.jsonl:1: audio_filepath is 3; allowed: a string"),
    ],
)
def test_values_of_the_wrong_kind_are_told_with_their_line(audiofolder, tmp_path, change, problem):
    write_jsonl(audiofolder, [ROWS[0] | change])
    with pytest.raises(ManifestError, match=problem):
        import_audiofolder(audiofolder, tmp_path / "m.jsonl")


def test_speaker_0_is_a_speaker(audiofolder, tmp_path):
    write_jsonl(audiofolder, [ROWS[0] | {"speaker_id": 0}])
    assert import_audiofolder(audiofolder, tmp_path / "m.jsonl")[0].speaker == "0"


def test_a_text_without_words_is_refused_in_a_kaldi_directory_too(kaldi, tmp_path):
    (kaldi / "text").write_text("anna-1 ...\nben-1 stop\n")
    with pytest.raises(ManifestError, match=r"1 problem in the data:\n  .*text: 'anna-1': text is '\.\.\.'; allowed"):
        import_kaldi(kaldi, tmp_path / "m.jsonl")


def test_all_files_that_are_missing_are_told_at_once(audiofolder, tmp_path):
    write_jsonl(audiofolder, [{"file_name": name, "text": "hello"} for name in ("x.flac", "a.flac", "y.flac")])
    with pytest.raises(ManifestError, match=r"(?s)^2 problems.*no audio file .*x\.flac.*no audio file .*y\.flac"):
        import_audiofolder(audiofolder, tmp_path / "m.jsonl")
    assert not (tmp_path / "m.jsonl").exists()


def test_a_folder_without_metadata_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no metadata\.jsonl or metadata\.csv in .*; an audiofolder has one"):
        import_audiofolder(tmp_path, tmp_path / "m.jsonl")


def test_metadata_without_rows_is_refused(audiofolder, tmp_path):
    write_jsonl(audiofolder, [])
    with pytest.raises(ManifestError, match=r"m\.jsonl would hold no utterances"):
        import_audiofolder(audiofolder, tmp_path / "m.jsonl")


def test_metadata_in_another_encoding_is_refused(audiofolder, tmp_path):
    (audiofolder / "metadata.csv").write_bytes("file_name,text\na.flac,grüße\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"metadata\.csv is not UTF-8"):
        import_audiofolder(audiofolder, tmp_path / "m.jsonl")


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_refuses_an_empty_folder(tmp_path, name):
    with pytest.raises(ManifestError, match=r"no (file|metadata\.jsonl)"):
        IMPORTERS[name](tmp_path, tmp_path / "m.jsonl")
