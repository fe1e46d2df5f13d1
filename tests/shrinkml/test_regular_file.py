import os

import pytest

from shrinkml.regular_file import read_regular


def test_a_file_is_read_whole_in_part_or_behind_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"0123")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link", most_bytes=4) == b"0123"
    assert read_regular(tmp_path / "file", first_bytes=2) == b"01"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    (tmp_path / "file").write_bytes(b"0123")
    with pytest.raises(OSError, match="4 bytes, and at most 3 are allowed"):
        read_regular(tmp_path / "file", most_bytes=3)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file, but a pipe, a socket or a device"):
        read_regular(tmp_path / "pipe")


def test_a_device_is_refused():
    with pytest.raises(OSError, match="no regular file"):
        read_regular(os.path.join("/dev", "zero"))


def test_a_folder_and_what_is_not_there_are_refused_as_the_system_does(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
