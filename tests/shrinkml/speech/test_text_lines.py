import os

import pytest

from shrinkml.errors import ConfigError
from shrinkml.speech.text_lines import read_texts


def test_empty_lines_are_no_texts(tmp_path):
    (tmp_path / "words.txt").write_text("dim the lamp\n\n  \nwärmer\n", encoding="utf-8")
    assert read_texts(tmp_path / "words.txt") == ["dim the lamp", "wärmer"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read as texts"), (b"\xff\xfe\x00", "cannot be read"), (b"\n \n", "no text")],
)
def test_texts_that_are_none_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"words\.txt .*{message}"):
        read_texts(tmp_path / "words.txt")


def test_a_pipe_is_no_text_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no regular file"):
        read_texts(tmp_path / "pipe")
