"""Uploads from the announcement to the end: received, checked, kept once, found, deleted."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from server.auth.caller import Caller
from server.auth.tokens import Role
from server.limits import Limits
from server.service_errors import BusyError, DiskFullError, TransitionError, UnknownUploadError, UploadSizeError
from server.uploads.part_range import PartRange
from server.uploads.upload_state import UploadKind, UploadState
from tests.server.live.conftest import REPOSITORY
from tests.server.live.test_hard_times import NAMESPACE, SMALL_DISK, has_namespaces
from tests.server.uploads.conftest import ANNA, begin, send, tar_of, zip_of

BERT = replace(ANNA, owner="bert")


@pytest.mark.parametrize("kind", UploadKind)
def test_a_good_archive_is_ready_once_its_last_byte_has_come(uploads, ready, kind):
    upload = ready(kind)
    assert (upload.state, upload.problem) == (UploadState.READY, None)
    assert uploads.received(upload) == upload.bytes
    expected = {"train.jsonl", "dev0.wav"} if kind is UploadKind.DATASET else {"config.json", "model.safetensors"}
    assert expected <= {path.name for path in uploads.place_of(upload).iterdir()}
    assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": {upload.sha256}}


def test_an_archive_comes_in_parts_and_goes_on_behind_a_cut(uploads, model_files):
    archive = tar_of(model_files)
    upload, total = begin(uploads, UploadKind.MODEL, archive), len(archive)

    def send(first: int, last: int, *, breaks_at: int | None = None) -> None:
        place = PartRange(f"bytes {first}-{last}/{total}", last - first + 1)
        with uploads.receiving(upload, place, None) as part:
            part.write(archive[first : breaks_at or last + 1])
            if breaks_at is not None:
                raise ConnectionError

    with pytest.raises(ConnectionError):
        send(0, total - 1, breaks_at=1234)
    assert uploads.received(upload) == 1234
    assert begin(uploads, UploadKind.MODEL, archive) == upload, "who announces it again goes on with it"
    send(1234, 1999)
    send(2000, total - 1)
    assert uploads.get(upload.id).state is UploadState.READY


def test_an_archive_that_is_not_the_one_announced_is_refused_and_can_be_sent_again(uploads, model_files):
    archive = tar_of(model_files)
    upload = begin(uploads, UploadKind.MODEL, archive)
    torn = archive[:-1] + b"\1"
    with uploads.receiving(upload, PartRange(None, len(torn)), None) as part:
        part.write(torn)
    refused = uploads.get(upload.id)
    assert refused.state is UploadState.REFUSED
    assert f"arrived with sha256 {hashlib.sha256(torn).hexdigest()}, and {upload.sha256}" in refused.problem
    assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": set()}
    assert send(uploads, UploadKind.MODEL, archive).state is UploadState.READY


@pytest.mark.parametrize(
    ("kind", "archive", "problem"),
    [
        (UploadKind.MODEL, tar_of({"x/readme.txt": b"hello"}), "x is no checkpoint: config.json missing"),
        (UploadKind.DATASET, zip_of({"dev.jsonl": b"{}\n"}), "dev.jsonl:1: no 'audio_filepath'"),
        (UploadKind.MODEL, b"no archive", "is no zip and no uncompressed tar"),
        (UploadKind.DATASET, tar_of({"../x": b""}), "allowed are relative names without"),
    ],
)
def test_what_jobs_could_not_use_is_refused_in_words_that_name_no_place_of_the_server(
    uploads, tmp_path, kind, archive, problem
):
    upload = send(uploads, kind, archive)
    assert upload.state is UploadState.REFUSED
    assert problem in upload.problem
    assert str(tmp_path) not in upload.problem
    assert upload.id not in upload.problem
    assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": set()}


def test_the_same_archive_is_kept_once_and_for_as_long_as_one_has_it(uploads, ready):
    first, second = (ready(UploadKind.MODEL, caller) for caller in (ANNA, BERT))
    assert first.id != second.id
    assert uploads.place_of(first) == uploads.place_of(second)
    uploads.delete(first)
    assert (uploads.place_of(second) / "config.json").is_file()
    with pytest.raises(UnknownUploadError):
        uploads.get(first.id)
    uploads.delete(second)
    assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": set()}


def test_who_only_knows_a_checksum_is_given_nothing(uploads, ready, model_files):
    ready(UploadKind.MODEL, ANNA)
    theirs = begin(uploads, UploadKind.MODEL, tar_of(model_files), BERT)
    assert (theirs.state, uploads.received(theirs)) == (UploadState.RECEIVING, 0)


def test_a_model_is_not_found_as_a_data_set(uploads, ready):
    upload = ready(UploadKind.MODEL)
    assert uploads.get(upload.id, UploadKind.MODEL) == upload
    with pytest.raises(UnknownUploadError, match=f"no upload '{upload.id}'"):
        uploads.get(upload.id, UploadKind.DATASET)


def test_an_archive_larger_than_the_server_takes_is_refused_before_it_is_sent(uploads):
    small = replace(uploads, limits=Limits(upload_gb=1e-6))
    with pytest.raises(UploadSizeError, match="bytes: 1001, and this server takes archives of 1000 at most"):
        begin(small, UploadKind.MODEL, bytes(1001))


def test_what_is_unpacked_counts_against_the_owner_too(uploads, dataset_files):
    archive = zip_of({**dataset_files, "zeros.bin": bytes(900_000)})
    caller = Caller("anna", Role.USER, max_bytes=len(archive) + 500_000)
    upload = send(uploads, UploadKind.DATASET, archive, caller)
    assert upload.state is UploadState.REFUSED
    assert "unpacks to more than its owner has room for" in upload.problem


def test_a_check_that_a_killed_server_left_is_made_by_the_next(uploads, model_files):
    waiting = []
    died = replace(uploads, soon=waiting.append)
    upload = send(died, UploadKind.MODEL, tar_of(model_files))
    assert upload.state is UploadState.CHECKING
    (uploads.folder.unpacking(upload.id) / "half").mkdir(parents=True)
    with pytest.raises(TransitionError, match="is being checked; delete it when that is done"):
        uploads.delete(upload)
    uploads.recover()
    found = uploads.get(upload.id)
    assert found.state is UploadState.READY
    assert not (uploads.place_of(found) / "half").exists()
    waiting[0]()  # the other one comes late
    assert uploads.get(upload.id) == found


def test_an_upload_is_not_deleted_while_somebody_sends_to_it_nor_sent_to_once_it_is(uploads, model_files):
    archive = tar_of(model_files)
    upload = begin(uploads, UploadKind.MODEL, archive)
    with uploads.receiving(upload, PartRange(None, len(archive)), None) as part:
        part.write(archive[:10])
        with pytest.raises(BusyError):
            uploads.delete(upload)
        part.write(archive[10:])
    other = begin(uploads, UploadKind.DATASET, archive)
    uploads.delete(other)
    with pytest.raises(UnknownUploadError), uploads.receiving(other, PartRange(None, len(archive)), None):
        pass
    assert uploads.folder.names()["received"] == set()


def test_an_archive_that_a_killed_server_left_behind_its_check_is_removed_by_the_next(uploads, ready):
    upload = ready(UploadKind.MODEL)
    uploads.folder.archive(upload.id).write_bytes(b"left")
    begun = begin(uploads, UploadKind.MODEL, b"other")
    uploads.folder.archive(begun.id).write_bytes(b"oth")
    uploads.recover()
    assert uploads.folder.names()["received"] == {begun.id}
    assert uploads.get(upload.id) == upload


def test_space_is_asked_for_before_an_archive_is_sent_and_not_again(uploads, model_files):
    asked = []

    def full(n_bytes: int) -> None:
        asked.append(n_bytes)
        raise DiskFullError("full")

    archive = tar_of(model_files)
    with pytest.raises(DiskFullError):
        begin(replace(uploads, require_space=full), UploadKind.MODEL, archive)
    assert (asked, uploads.rows.all()) == ([len(archive)], [])
    begun = begin(uploads, UploadKind.MODEL, archive)
    assert begin(replace(uploads, require_space=full), UploadKind.MODEL, archive) == begun


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from server.home import database_url
from server.service_errors import DiskFullError
from server.stores.schema import connect
from server.uploads.part_range import PartRange
from server.uploads.upload_state import UploadKind, UploadState
from server.uploads.uploads import uploads_in
from tests.server.uploads.conftest import begin, tar_of
home, data = map(Path, sys.argv[1:])
uploads = uploads_in(home, connect(database_url(home)))
files = {path.name: path.read_bytes() for path in (data / "model").iterdir()}
archive = tar_of({**files, "zeros.bin": bytes(9 << 20)})
upload, total, half = begin(uploads, UploadKind.MODEL, archive), len(archive), 4 << 20

def send(first, last):
    place = PartRange(f"bytes {first}-{last - 1}/{total}" if first < last else None, last - first)
    with uploads.receiving(upload, place, None) as part:
        for at in range(first, last, 1 << 16):
            part.write(archive[at : min(at + (1 << 16), last)])

ballast = home / "ballast"
send(0, half)
ballast.write_bytes(bytes(17 << 20))
try:
    send(half, total)
except DiskFullError as error:
    assert "the disk of the server is full" in str(error)
else:
    raise SystemExit("the disk was not full")
assert uploads.received(upload) == half, "nothing half-written stays, and what came before does"
ballast.write_bytes(bytes(6 << 20))
send(half, total)
stuck = uploads.get(upload.id)
assert stuck.state is UploadState.RECEIVING, stuck
assert "has no space for what is in it" in stuck.problem, stuck
assert uploads.folder.names() == {"received": {upload.id}, "unpacking": set(), "content": set()}
ballast.unlink()
send(total, total)
assert uploads.get(upload.id).state is UploadState.READY, uploads.get(upload.id)
assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": {upload.sha256}}
"""


@pytest.mark.skipif(not has_namespaces(), reason="no disk of its own can be mounted here")
def test_a_full_disk_is_told_leaves_nothing_half_written_and_loses_nothing(tmp_path, data_folder):
    home = tmp_path / "small"
    command = [*NAMESPACE, "sh", "-c", SMALL_DISK, home, sys.executable, "-c", ON_A_SMALL_DISK, home, data_folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
