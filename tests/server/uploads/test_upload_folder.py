import base64
import hashlib
import os

import pytest

from server.service_errors import BusyError, DiskFullError, UploadPartError
from server.uploads.upload_folder import Part, UploadFolder


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


@pytest.fixture
def folder(tmp_path) -> UploadFolder:
    return UploadFolder(tmp_path / "uploads")


def add(folder: UploadFolder, first: int, *pieces: bytes, told: str | None = None) -> int:
    with folder.held("u") as file:
        part = Part(file, first, told)
        for piece in pieces:
            part.write(piece)
        return part.finish()


def test_parts_follow_each_other_and_a_later_one_replaces_what_lies_behind_its_place(folder):
    assert folder.received("u") == 0
    assert add(folder, 0, b"abc", b"def") == folder.received("u") == 6
    assert add(folder, 4, b"EFG") == 7
    assert folder.archive("u").read_bytes() == b"abcdEFG"


def test_a_part_with_the_digest_of_another_one_is_dropped_whole(folder):
    add(folder, 0, b"abc", told=digest(b"abc"))
    with pytest.raises(UploadPartError, match="arrived with another sha-256 than its Content-Digest"):
        add(folder, 3, b"def", told=digest(b"deF"))
    assert folder.archive("u").read_bytes() == b"abc"


@pytest.mark.parametrize("told", ["", "abc", "md5=:abc=:", "sha-256=:abc=:"])
def test_a_digest_that_cannot_be_checked_is_refused_and_what_came_before_stays(folder, told):
    add(folder, 0, b"abc")
    with pytest.raises(UploadPartError, match="allowed: sha-256=:BASE64:"):
        add(folder, 0, b"def", told=told)
    assert folder.archive("u").read_bytes() == b"abc"


def test_only_one_sends_at_a_time_and_who_waits_comes_behind(folder):
    with folder.held("u"):
        with pytest.raises(BusyError, match="sends or checks this upload just now"), folder.held("u"):
            pass
        with folder.held("other"):
            pass
    with folder.held("u", wait=True):
        pass


def test_a_part_for_which_the_disk_has_no_space_leaves_nothing(folder, tmp_path):
    add(folder, 0, b"abc")
    os.symlink("/dev/full", tmp_path / "full")
    with folder.held("u") as file:
        part = Part(file, 3, None)
        with open("/dev/full", "r+b", buffering=0) as full:

            class Full:
                """The archive, on a disk that is full."""

                write, truncate = staticmethod(full.write), staticmethod(file.truncate)

            part._file = Full()
            with pytest.raises(DiskFullError, match="the disk of the server is full; nothing of this part is kept"):
                part.write(b"def")
    assert folder.archive("u").read_bytes() == b"abc"


def test_a_content_has_its_place_once_and_is_removed_whole(folder):
    for name in ("u", "v"):
        folder.unpacking(name).mkdir(parents=True)
        (folder.unpacking(name) / "x").write_text(name)
        folder.place(name, "sum")
    assert (folder.content("sum") / "x").read_text() == "u", "the first"
    folder.clear("v")
    assert folder.names() == {"received": set(), "unpacking": set(), "content": {"sum"}}
    folder.remove_content("sum")
    folder.remove_content("sum")
    assert folder.names() == {"received": set(), "unpacking": set(), "content": set()}


def test_strays_are_removed_files_and_folders(folder):
    add(folder, 0, b"abc")
    folder.content("sum").mkdir(parents=True)
    for name in ("received/u", "content/sum", "content/none"):
        folder.remove_stray(name)
        assert not folder.stray(name).exists()
