import json

import numpy as np
import pytest
import soundfile

from server.cli.data_commands import Layout, Task
from shrinkml.speech.corpora.importers import IMPORTERS
from shrinkml.speech.corpora.tasks import TASKS
from shrinkml.speech.manifest import read_manifest


def test_the_command_line_knows_every_task_and_every_layout():
    assert set(Task) == set(TASKS)
    assert set(Layout) == set(IMPORTERS)


def test_the_help_tells_of_every_task(shrinkml):
    out = "".join(shrinkml("prepare", "--help").out.split())  # lines may break within a task's name
    assert all(f"{task}:" in out for task in TASKS)


@pytest.fixture
def kaldi(tmp_path):
    folder = tmp_path / "kaldi"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    (folder / "wav.scp").write_text("utt1 a.wav\n")
    (folder / "text").write_text("utt1 turn it on\n")
    return folder


def test_import_writes_a_manifest(shrinkml, kaldi, tmp_path):
    run = shrinkml("import", "kaldi", kaldi, tmp_path / "train.jsonl")
    assert run.out == f"{tmp_path / 'train.jsonl'}: 1 utterances\n"
    assert [utterance.text for utterance in read_manifest(tmp_path / "train.jsonl")] == ["turn it on"]
    assert json.loads(shrinkml("import", "kaldi", kaldi, tmp_path / "train.jsonl", "--json").out)["utterances"] == 1


def test_import_tells_what_is_wrong_with_the_source(shrinkml, kaldi, tmp_path):
    (kaldi / "text").write_text("utt2 turn it off\n")
    code, _, err = shrinkml("import", "kaldi", kaldi, tmp_path / "train.jsonl")
    assert (code, "no text for 'utt1'" in err) == (2, True)


def test_prepare_asks_for_the_source_that_a_task_needs(shrinkml, tmp_path):
    code, _, err = shrinkml("prepare", "digits", tmp_path / "digits")
    assert (code, "needs a source" in err) == (2, True)


def test_prepare_tells_how_many_utterances_are_too_long(shrinkml, tmp_path):
    folder = tmp_path / "corpus" / "1"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 24_000)
    for speaker in range(6):
        soundfile.write(folder / f"{speaker}-0.flac", noise, 16_000)
        soundfile.write(folder / f"{speaker}-1.flac", noise[: 8000 + speaker], 16_000)
    (folder / "1.trans.txt").write_text("".join(f"{speaker}-{i} ON\n" for speaker in range(6) for i in (0, 1)))
    run = shrinkml("prepare", "librispeech", tmp_path / "out", "--source", tmp_path / "corpus", "--longest", "1")
    assert "6 utterances longer than 1 s are left out" in run.err
    assert len(read_manifest(tmp_path / "out" / "train.jsonl")) == 1


def test_prepare_knows_only_the_tasks_there_are(shrinkml, tmp_path):
    code, _, err = shrinkml("prepare", "music", tmp_path)
    assert (code, "commands" in err) == (2, True)
