from datetime import timedelta

import pytest

from server.service_errors import TransitionError
from server.uploads.unused_uploads import remove_upload, require_unneeded, unused_uploads
from server.uploads.upload_state import UploadKind, UploadState
from tests.server.uploads.conftest import begin, send

NO_TIME, A_DAY = timedelta(0), timedelta(days=1)


def found(uploads, store, older_than=NO_TIME) -> dict[str, str]:
    return {one.id: one.why for one in unused_uploads(uploads, store, older_than=older_than)}


def test_an_upload_that_no_job_may_need_goes_after_its_time(uploads, store, ready):
    upload = ready(UploadKind.MODEL)
    assert found(uploads, store, A_DAY) == {}
    (one,) = unused_uploads(uploads, store, older_than=NO_TIME)
    assert (one.kind, one.id) == ("upload", upload.id)
    assert one.why.startswith("model x.tar, unused since 20")
    assert one.bytes >= upload.contents.bytes
    assert remove_upload(uploads, store, one)
    assert not remove_upload(uploads, store, one)
    assert uploads.folder.names() == {"received": set(), "unpacking": set(), "content": set()}


def test_a_job_that_may_still_run_keeps_what_it_names(uploads, store, ready, spec):
    upload, other = ready(UploadKind.MODEL), ready(UploadKind.DATASET)
    named = spec.model_copy(update={"model": upload.reference})
    job, _ = store.submit(named, max_queued=9)
    assert set(found(uploads, store)) == {other.id}
    with pytest.raises(TransitionError, match=f"job {job.id} is queued and needs upload {upload.id}; delete the job"):
        require_unneeded(store, upload)
    require_unneeded(store, other)
    store.cancel(job.id)
    with pytest.raises(TransitionError, match="is cancelled and needs"):
        require_unneeded(store, upload)
    store.delete(job.id, lambda: None)
    require_unneeded(store, upload)
    assert set(found(uploads, store)) == {upload.id, other.id}


def test_what_a_job_needs_since_it_was_listed_stays(uploads, store, ready, spec):
    upload = ready(UploadKind.MODEL)
    (one,) = unused_uploads(uploads, store, older_than=NO_TIME)
    store.submit(spec.model_copy(update={"model": upload.reference}), max_queued=9)
    assert not remove_upload(uploads, store, one)
    assert uploads.get(upload.id) == upload


def test_what_never_came_or_was_refused_goes_too(uploads, store):
    begun = begin(uploads, UploadKind.MODEL, b"never sent")
    refused = send(uploads, UploadKind.MODEL, b"no archive")
    assert refused.state is UploadState.REFUSED
    why = found(uploads, store)
    assert why[begun.id].startswith("never arrived whole, begun 20")
    assert why[refused.id].startswith("refused, begun 20")


def test_files_of_no_upload_go_at_once_and_those_of_one_stay(uploads, store, ready):
    known = ready(UploadKind.MODEL)
    strays = ["received/lost", "unpacking/lost", "content/lost"]
    for name in strays:
        uploads.folder.stray(name).parent.mkdir(exist_ok=True)
    uploads.folder.stray(strays[0]).write_bytes(bytes(10_000))
    for name in strays[1:]:
        uploads.folder.stray(name).mkdir()
    leftovers = unused_uploads(uploads, store, older_than=A_DAY)
    assert {one.id: one.why for one in leftovers} == dict.fromkeys(strays, "belongs to no upload")
    assert leftovers[0].bytes >= 10_000
    assert all(remove_upload(uploads, store, one) for one in leftovers)
    assert found(uploads, store, A_DAY) == {}
    assert (uploads.place_of(known) / "config.json").is_file()
