"""Archives as strangers may make them, each made by hand: nothing but plain files comes out, and not too much."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile

import pytest

from server.limits import Limits
from server.service_errors import ArchiveError
from server.uploads.unpacking import MOST_AT_ONCE, SLACK_BYTES, Allowance, allowance_of, unpack
from tests.server.uploads.conftest import tar_of, zip_of

FILES = {"config.json": b"{}", "more/notes.txt": b"note", "empty": b""}
PLENTY = 1_000_000


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks an archive; what came out, by name."""

    def unpacked(archive: bytes, *, files: int = 100, n_bytes: int = PLENTY) -> dict[str, bytes]:
        (tmp_path / "archive").write_bytes(archive)
        (tmp_path / "out").mkdir()
        told = unpack(tmp_path / "archive", tmp_path / "out", Allowance(files, n_bytes))
        found = {
            path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
            for path in (tmp_path / "out").rglob("*")
            if path.is_file()
        }
        assert told == sum(map(len, found.values()))
        return found

    return unpacked


def tar_with(**fields: object) -> bytes:
    """A tar of one member of 3 bytes, with `fields` of its own."""
    member, stream = tarfile.TarInfo("x"), io.BytesIO()
    member.size = 3
    for name, value in fields.items():
        setattr(member, name, value)
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(member, io.BytesIO(b"abc"))
    return stream.getvalue()


def zip_with(content: bytes = b"abc", *, method: int = zipfile.ZIP_STORED, **fields: object) -> bytes:
    """A zip of one member, with `fields` of its own."""
    info, stream = zipfile.ZipInfo("x"), io.BytesIO()
    info.compress_type = method
    for name, value in fields.items():
        setattr(info, name, value)
    with zipfile.ZipFile(stream, "w") as found:
        found.writestr(info, content)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_the_files_of_an_archive_come_out(unpacked, pack):
    assert unpacked(pack(FILES)) == FILES


def test_a_tar_of_a_folder_as_the_shell_makes_it_comes_out(unpacked, tmp_path):
    (tmp_path / "in" / "more").mkdir(parents=True)
    (tmp_path / "in" / "more" / "x").write_bytes(b"abc")
    with tarfile.open(tmp_path / "made.tar", "w") as tar:
        tar.add(tmp_path / "in", ".")
    assert unpacked((tmp_path / "made.tar").read_bytes()) == {"more/x": b"abc"}


def test_what_comes_out_runs_nothing_and_belongs_to_the_server(unpacked, tmp_path):
    unpacked(tar_with(mode=0o6777, uid=12345, mtime=1))
    found = (tmp_path / "out" / "x").stat()
    assert found.st_mode & 0o7111 == 0
    assert found.st_uid == os.getuid()
    assert found.st_mtime > 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "a\\x", "/".join("a" * 17), "a" * 1025, "a\0b"])
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_name_that_leads_elsewhere_is_refused(unpacked, tmp_path, pack, name):
    if "\0" in name:  # both formats end a name there: what is left is plain
        assert set(unpacked(pack({name: b"abc"}))) == {"a"}
        return
    with pytest.raises(ArchiveError, match=r"allowed are relative names without \.\. and backslashes"):
        unpacked(pack({name: b"abc"}))
    assert {path.name for path in tmp_path.iterdir()} >= {"archive", "out"}
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "x").exists()


LINKS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]


@pytest.mark.parametrize("kind", LINKS)
def test_a_tar_of_anything_but_files_and_folders_is_refused(unpacked, tmp_path, kind):
    sparse = kind == tarfile.GNUTYPE_SPARSE
    archive = tar_with(type=kind, linkname="/etc/passwd", size=3 if sparse else 0)
    with pytest.raises(ArchiveError, match=r"'x' in the archive is a link, a device|cannot be unpacked"):
        unpacked(archive)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "archive",
    [
        zip_with(b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16),
        zip_with(external_attr=stat.S_IFCHR << 16),
        zip_with(method=zipfile.ZIP_LZMA),
    ],
    ids=["link", "device", "lzma"],
)
def test_a_zip_of_anything_but_plain_files_is_refused(unpacked, tmp_path, archive):
    with pytest.raises(ArchiveError, match="'x' in the archive is a link, a device, sparse, encrypted"):
        unpacked(archive)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_link_is_not_followed_by_what_comes_behind_it(unpacked, tmp_path):
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("a/x"))
    with pytest.raises(ArchiveError, match="'a' in the archive is a link"):
        unpacked(stream.getvalue())
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"no archive",
        gzip.compress(tar_of(FILES)),
        b"PK\3\4" + bytes(100),
        zip_of(FILES)[:-30],
        zip_of({"x": bytes(range(256)) * 9})[:200] + bytes(2000),
        tar_of({"x": bytes(5000)})[:2000],
    ],
    ids=["empty", "text", "compressed tar", "head of a zip", "cut zip", "torn zip", "cut tar"],
)
def test_what_is_no_archive_is_refused_in_words(unpacked, archive):
    with pytest.raises(ArchiveError, match=r"the archive (is no zip and no uncompressed tar|cannot be unpacked)") as it:
        unpacked(archive)
    assert "/" not in str(it.value), "no path of the server"


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_files_and_bytes_are_counted_as_they_come(unpacked, tmp_path, pack):
    files = {f"{i}": bytes(100) for i in range(5)}
    with pytest.raises(ArchiveError, match="more files and folders than the limit upload_files"):
        unpacked(pack(files), files=4)
    assert len(list((tmp_path / "out").iterdir())) == 4
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    (tmp_path / "out").rmdir()
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        unpacked(pack(files), n_bytes=499)


def test_a_zip_that_lies_about_its_sizes_gives_no_more_than_it_says(unpacked):
    archive = bytearray(zip_of({"x": bytes(100_000)}))
    directory = archive.rindex(b"PK\1\2")
    struct.pack_into("<I", archive, directory + 24, 10)
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpacked(bytes(archive), n_bytes=50_000)


def test_names_that_stand_twice_or_are_file_and_folder_are_refused(unpacked, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as found:
        found.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            found.writestr("x", b"2")
    with pytest.raises(ArchiveError, match="'x' twice"):
        unpacked(stream.getvalue())
    (tmp_path / "out" / "x").unlink()
    (tmp_path / "out").rmdir()
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpacked(tar_of({"x": b"1", "x/y": b"2"}))


def test_a_header_that_claims_to_be_huge_is_not_read(unpacked):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, MOST_AT_ONCE + 1
    with pytest.raises(ArchiveError, match="a header of"):
        unpacked(header.tobuf() + bytes(10_240))


def test_an_archive_is_allowed_its_bytes_times_the_ratio(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(bytes(SLACK_BYTES))
    limits = Limits(upload_ratio=3, upload_files=7)
    assert allowance_of(archive, limits) == Allowance(7, 3 * SLACK_BYTES)
    assert allowance_of(archive, limits, room=5).bytes == 5
    assert allowance_of(archive, limits.model_copy(update={"upload_gb": 1e-6})).bytes == 1000
    archive.write_bytes(b"x")
    assert allowance_of(archive, limits).bytes == SLACK_BYTES
