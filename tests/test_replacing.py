import pytest

from shrinkml.errors import CheckpointError
from shrinkml.replacing import check_replaceable, replacing


def write(folder, text):
    with replacing(folder) as partial:
        (partial / "config.json").write_text(text)


def test_a_model_is_replaced_whole(tmp_path):
    for text in ("first", "second"):
        write(tmp_path / "model", text)
    assert (tmp_path / "model" / "config.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failure_leaves_what_was_there(tmp_path):
    write(tmp_path / "model", "first")
    with pytest.raises(RuntimeError, match="no space"), replacing(tmp_path / "model"):
        raise RuntimeError("no space")
    assert (tmp_path / "model" / "config.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_model_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for attempt in (check_replaceable, lambda folder: write(folder, "model")):
        with pytest.raises(CheckpointError, match="is there and is no model; remove it, or write to another folder"):
            attempt(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    check_replaceable(tmp_path / "new")
