import re

import pytest

from server.jobs.model_facts import ModelFacts
from server.service_errors import TransitionError
from server.uploads.upload_state import (
    Contents,
    UploadKind,
    UploadState,
    new_upload,
    require_receiving,
    unknown_upload,
)


@pytest.fixture
def upload():
    return new_upload(UploadKind.MODEL, "m.tar", 100, "0" * 64, owner="anna", max_bytes=1000)


def test_a_new_upload_waits_for_its_archive(upload):
    assert (upload.state, upload.taken, upload.problem) == (UploadState.RECEIVING, 100, None)
    assert re.fullmatch("upload:[0-9a-f]{16}", upload.reference)
    require_receiving(upload)


def test_an_upload_takes_its_archive_then_its_content_and_nothing_once_it_is_refused(upload):
    contents = Contents(300, ".", ModelFacts("m", "las", 1, 2))
    assert upload.moved_to(UploadState.CHECKING).taken == 100
    assert upload.moved_to(UploadState.READY, contents=contents).taken == 300
    assert upload.moved_to(UploadState.REFUSED, problem="no model").taken == 0


@pytest.mark.parametrize("state", [state for state in UploadState if state is not UploadState.RECEIVING])
def test_nothing_more_is_taken_in_of_what_is_whole(upload, state):
    with pytest.raises(TransitionError, match=f"is {state}: nothing more of it is taken in"):
        require_receiving(upload.moved_to(state))


def test_kinds_lie_at_paths_of_their_own_and_an_unknown_upload_is_told_both():
    assert [kind.path for kind in UploadKind] == ["/v1/models", "/v1/datasets"]
    assert all(kind.path in str(unknown_upload("x")) for kind in UploadKind)
