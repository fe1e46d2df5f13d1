import stat

import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.corpora.prepared import prepare_once


class Writer:
    """Fills a folder and counts how often it was asked to."""

    def __init__(self, content: str = "one") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, folder):
        self.calls += 1
        (folder / "train.jsonl").write_text(self.content)


def test_the_work_is_done_once(tmp_path):
    writer = Writer()
    for _ in range(2):
        manifests = prepare_once(tmp_path / "a" / "task", {"seed": 0}, writer)
    assert writer.calls == 1
    assert manifests["train"].read_text() == "one"
    assert list(manifests) == ["train", "dev", "test"]


def test_other_parameters_replace_what_was_prepared(tmp_path):
    prepare_once(tmp_path / "task", {"seed": 0}, Writer("one"))
    manifests = prepare_once(tmp_path / "task", {"seed": 1}, Writer("two"))
    assert manifests["train"].read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    manifests = prepare_once(tmp_path / "task", {"seed": 0}, Writer("one"))

    def fail(folder):
        (folder / "half").write_text("done")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        prepare_once(tmp_path / "task", {"seed": 1}, fail)
    assert manifests["train"].read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


def test_others_may_read_the_folder(tmp_path):
    prepare_once(tmp_path / "task", {}, Writer())
    assert stat.S_IMODE((tmp_path / "task").stat().st_mode) == 0o755


def test_an_empty_folder_is_filled_and_any_other_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert prepare_once(tmp_path / "empty", {}, Writer())["train"].is_file()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ManifestError, match=r"full holds files that were not prepared here"):
        prepare_once(tmp_path / "full", {}, Writer())
