import pytest

from shrinkml.errors import CheckpointError
from shrinkml.models.huggingface.vocabulary.kept_tokens import KEPT, read_kept, write_kept


def test_the_ids_come_back(tmp_path):
    write_kept((0, 3, 9), tmp_path)
    assert read_kept(tmp_path) == (0, 3, 9)


def test_a_vocabulary_that_was_never_trimmed_has_no_file(tmp_path):
    write_kept(None, tmp_path)
    assert not any(tmp_path.iterdir())
    assert read_kept(tmp_path) is None


@pytest.mark.parametrize("text", ["no json", "[1, 2]", "{}"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / KEPT).write_text(text)
    with pytest.raises(CheckpointError, match=r"kept_tokens\.json tells no original_ids"):
        read_kept(tmp_path)


@pytest.mark.parametrize("text", ['{"original_ids": 3}', '{"original_ids": ["a"]}'])
def test_ids_that_are_none_are_refused(tmp_path, text):
    (tmp_path / KEPT).write_text(text)
    with pytest.raises(CheckpointError, match="no list of ids"):
        read_kept(tmp_path)
