from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from server.auth.sql_tokens import SqlTokens
from server.auth.tokens import new_token
from server.jobs.model_facts import ModelFacts
from server.service_errors import OwnerLimitError, TransitionError, UnknownUploadError, UploadSizeError
from server.uploads.sql_uploads import SqlUploads
from server.uploads.upload_state import Contents, ManifestFacts, UploadKind, UploadState, new_upload
from shrinkml.errors import ConfigError


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def rows(request) -> SqlUploads:
    engine = request.getfixturevalue(request.param)
    SqlTokens(engine).add(new_token("anna")[0])
    return SqlUploads(engine)


def announced(sha256: str = "0", n_bytes: int = 100, *, kind=UploadKind.MODEL, owner="anna", max_bytes=None):
    return new_upload(kind, "x.tar", n_bytes, sha256 * 64, owner=owner, max_bytes=max_bytes)


@pytest.mark.parametrize("owner", ["anna", None])
def test_an_upload_is_read_as_it_was_begun_and_moved(rows, owner):
    upload = announced(owner=owner, max_bytes=500)
    assert rows.begin(upload, most=9) == (upload, True)
    assert rows.get(upload.id) == upload
    for contents in (
        Contents(120, "a/b", ModelFacts("upload:x", "las", 12, 48)),
        Contents(120, ".", manifests=(ManifestFacts("dev.jsonl", 3, 1.5),)),
    ):
        ready = rows.move(rows.get(upload.id), upload.moved_to(UploadState.READY, contents=contents))
        assert rows.get(upload.id) == ready


def test_an_owner_has_one_of_each_kind_and_checksum(rows):
    first, _ = rows.begin(announced(), most=9)
    assert rows.begin(announced(), most=9) == (first, False)
    others = [announced("1"), announced(kind=UploadKind.DATASET), announced(owner="bert"), announced(owner=None)]
    assert all(rows.begin(other, most=9)[1] for other in others)
    assert len({upload.id for upload in rows.all()}) == 5
    with pytest.raises(ConfigError, match="bytes: 99, but the archive with that sha256 has 100"):
        rows.begin(announced(n_bytes=99), most=9)


def test_a_refused_one_is_begun_again_under_its_id(rows):
    first, _ = rows.begin(announced(), most=1)
    rows.move(first, first.moved_to(UploadState.REFUSED, problem="no model"))
    again, is_new = rows.begin(announced(), most=1)
    assert (again, is_new) == (first, False)
    assert rows.get(first.id) == first


def test_lists_are_of_a_kind_and_an_owner_the_newest_first(rows):
    made = [rows.begin(announced(sha, kind=kind, owner=owner), most=9)[0]
            for sha, kind, owner in (("0", UploadKind.MODEL, "anna"), ("1", UploadKind.MODEL, "bert"),
                                     ("2", UploadKind.DATASET, "anna"))]  # fmt: skip
    assert rows.all() == made[::-1]
    assert rows.all(kind=UploadKind.MODEL) == [made[1], made[0]]
    assert rows.all(owner="anna") == [made[2], made[0]]


def test_what_an_owner_may_take_is_counted_over_all_that_it_sends(rows):
    first, _ = rows.begin(announced("0", 60, max_bytes=100), most=9)
    with pytest.raises(UploadSizeError, match="bytes: 41, and uploads of anna take 60 of the 100 bytes"):
        rows.begin(announced("1", 41, max_bytes=100), most=9)
    rows.begin(announced("1", 40, max_bytes=100), most=9)
    rows.begin(announced("1", 41, owner="bert", max_bytes=100), most=9)
    assert rows.room(first) == 60
    assert rows.room(replace(first, max_bytes=None)) is None
    rows.move(first, first.moved_to(UploadState.READY, contents=Contents(10, ".")))
    rows.begin(announced("2", 50, max_bytes=100), most=9)
    with pytest.raises(OwnerLimitError, match="3 uploads are there already"):
        rows.begin(announced("3", 0, max_bytes=100), most=3)


def test_of_many_at_once_no_more_are_begun_than_have_room(rows):
    def begin(sha256: str) -> bool:
        try:
            return rows.begin(announced(sha256, 30, max_bytes=100), most=9)[1]
        except UploadSizeError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, "01234567")) == 3


def test_a_move_is_made_once_from_the_state_that_it_was_decided_in(rows):
    upload, _ = rows.begin(announced(), most=9)
    rows.move(upload, upload.moved_to(UploadState.CHECKING))
    with pytest.raises(TransitionError, match="is no longer receiving"):
        rows.move(upload, upload.moved_to(UploadState.CHECKING))
    with pytest.raises(TransitionError, match="changed just now"):
        rows.delete(upload)


def test_a_deleted_one_is_forgotten_and_tells_if_others_have_the_same_content(rows):
    ours, theirs = (rows.begin(announced(owner=owner), most=9)[0] for owner in ("anna", "bert"))
    theirs = rows.move(theirs, theirs.moved_to(UploadState.CHECKING))
    assert not rows.delete(ours)
    assert rows.delete(theirs)
    with pytest.raises(UnknownUploadError, match=f"no upload '{ours.id}'; GET /v1/models"):
        rows.get(ours.id)
