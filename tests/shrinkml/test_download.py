"""Downloads that break, lie, or try to write where they should not."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable

import httpx
import pytest

from shrinkml.download import fetch
from shrinkml.errors import ServiceError


def tar_of(members: dict[str, bytes | str]) -> bytes:
    """A tar of files (bytes) and symbolic links (str)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


GOOD = tar_of({"final/config.json": b"{}", "final/model.safetensors": bytes(50_000)})


def listed(content: bytes, **changes: object) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": "final.tar", "checkpoint": "final", "url": "/x", "bytes": len(content), "sha256": digest, **changes}


def serving(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://server", transport=httpx.MockTransport(handler))


def whole(content: bytes) -> httpx.Client:
    return serving(lambda request: httpx.Response(200, content=content))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("shrinkml.transport.FIRST_WAIT_S", 0.0)


def test_a_checkpoint_is_unpacked_and_nothing_else_is_left(tmp_path):
    target = fetch(whole(GOOD), listed(GOOD), tmp_path / "small")
    assert target == tmp_path / "small" / "final"
    assert (target / "model.safetensors").read_bytes() == bytes(50_000)
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["final"]


def test_a_broken_download_goes_on_where_it_broke(tmp_path):
    seen = []

    def half_then_rest(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Range"))
        if len(seen) == 1:
            return httpx.Response(200, stream=Breaking(GOOD[:20_000]))
        assert request.headers["If-Range"] == f'"{listed(GOOD)["sha256"]}"'
        return httpx.Response(206, content=GOOD[int(seen[-1].removeprefix("bytes=").rstrip("-")) :])

    assert fetch(serving(half_then_rest), listed(GOOD), tmp_path).is_dir()
    assert seen == [None, "bytes=20000-"]


def test_a_server_that_ignores_the_range_is_taken_from_the_start(tmp_path):
    (tmp_path / ".final.tar.part").write_bytes(b"of another version")
    assert fetch(whole(GOOD), listed(GOOD), tmp_path).is_dir()


def test_what_is_longer_than_the_checkpoint_is_fetched_afresh(tmp_path):
    (tmp_path / ".final.tar.part").write_bytes(bytes(len(GOOD) + 1))

    def refusing_ranges(request: httpx.Request) -> httpx.Response:
        return httpx.Response(416) if "Range" in request.headers else httpx.Response(200, content=GOOD)

    assert fetch(serving(refusing_ranges), listed(GOOD), tmp_path).is_dir()


def test_what_is_already_whole_is_not_fetched_again(tmp_path):
    (tmp_path / ".final.tar.part").write_bytes(GOOD)
    assert fetch(serving(lambda request: httpx.Response(500)), listed(GOOD), tmp_path).is_dir()


def test_a_wrong_checksum_is_refused_and_the_next_try_starts_afresh(tmp_path):
    with pytest.raises(ServiceError, match=r"final.tar arrived with sha256 .*download it again"):
        fetch(whole(GOOD[::-1]), listed(GOOD), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "members",
    [
        {"../evil": b"", "final/config.json": b""},
        {"/tmp/evil": b"", "final/config.json": b"", "final/link": "/etc/passwd"},
        {"final/link": "../../evil"},
    ],
    ids=["parent", "absolute link", "relative link"],
)
def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path, members):
    evil = tar_of(members)
    with pytest.raises(ServiceError, match="no archive that can be unpacked safely"):
        fetch(whole(evil), listed(evil), tmp_path / "small")
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_without_the_checkpoint_is_refused(tmp_path):
    other = tar_of({"other/config.json": b"{}"})
    with pytest.raises(ServiceError, match="holds no folder final"):
        fetch(whole(other), listed(other), tmp_path)


def test_what_is_no_archive_is_refused(tmp_path):
    with pytest.raises(ServiceError, match="no archive that can be unpacked safely"):
        fetch(whole(b"hello"), listed(b"hello"), tmp_path)


@pytest.mark.parametrize("name", ["../final.tar", "", "..", "a/b.tar"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(ServiceError, match="which is no file name"):
        fetch(whole(GOOD), listed(GOOD, name=name), tmp_path)
    with pytest.raises(ServiceError, match="which is no file name"):
        fetch(whole(GOOD), listed(GOOD, checkpoint=name), tmp_path)


def test_an_earlier_download_is_replaced_but_another_folder_is_not(tmp_path):
    older = tar_of({"final/config.json": b"{}", "final/stale": b""})
    fetch(whole(older), listed(older), tmp_path)
    fetch(whole(GOOD), listed(GOOD), tmp_path)
    assert not (tmp_path / "final" / "stale").exists()
    (tmp_path / "final" / "thesis.tex").touch()
    with pytest.raises(ServiceError, match=r"final is there and holds what was not downloaded: thesis\.tex; download"):
        fetch(whole(GOOD), listed(GOOD), tmp_path)
    assert (tmp_path / "final" / "thesis.tex").exists()


def test_an_earlier_download_of_an_export_is_replaced_too(tmp_path):
    exported = tar_of({"final/recogniser.json": b"{}"})
    for _ in range(2):
        folder = fetch(whole(exported), listed(exported), tmp_path)
    assert (folder / "recogniser.json").exists()


class Breaking(httpx.SyncByteStream):
    """A body whose connection breaks at its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self):
        yield self._content
        raise httpx.ReadError("connection reset")


def test_an_archive_that_cannot_be_unpacked_leaves_nothing(tmp_path):
    with pytest.raises(ServiceError, match="is no archive that can be unpacked safely"):
        fetch(whole(b"no tar"), listed(b"no tar"), tmp_path / "small")
    assert list((tmp_path / "small").iterdir()) == []


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_that_is_compressed_is_refused(tmp_path, pack):
    bomb = pack(tar_of({"final/config.json": bytes(10_000_000)}))
    with pytest.raises(ServiceError, match="is no archive that can be unpacked safely"):
        fetch(whole(bomb), listed(bomb), tmp_path / "small")


def test_a_file_with_holes_is_not_made_larger_than_what_arrived(tmp_path):
    member = tarfile.TarInfo("final/model.safetensors")
    member.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1",
                          "GNU.sparse.size": str(10**15)}  # fmt: skip
    member.size = 1
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"x"))
    content = buffer.getvalue()
    with pytest.raises(ServiceError, match="its files would take 1000000000000000 bytes"):
        fetch(whole(content), listed(content), tmp_path / "small")
