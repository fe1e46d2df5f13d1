"""An upload as the service knows it: an archive that is received, checked, and then ready for jobs or refused."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from server.jobs.job_state import now
from server.jobs.model_facts import ModelFacts
from server.service_errors import TransitionError, UnknownUploadError
from shrinkml.storage.bundle import UPLOAD


class UploadKind(StrEnum):
    """The content of an archive."""

    MODEL = "model"
    DATASET = "dataset"

    @property
    def path(self) -> str:
        """The path of uploads of this kind in the HTTP API."""
        return f"/v1/{self}s"


class UploadState(StrEnum):
    """The way of an upload: a refused one can be begun again."""

    RECEIVING = "receiving"
    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """A manifest of a data set.

    Attributes:
        name: of its file.
        utterances: that it lists.
        seconds: of their audio.
    """

    name: str
    utterances: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of an archive that was found good.

    Attributes:
        bytes: of its files.
        root: folder in the archive that holds the model or the manifests; "" where they lie at its top.
        model: facts about the model, of a model.
        manifests: of a data set.
    """

    bytes: int
    root: str
    model: ModelFacts | None = None
    manifests: tuple[ManifestFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """One archive of one owner.

    Attributes:
        id: unique, and good in a URL or a file name.
        kind: its content.
        name: as the sender calls it.
        bytes: of the archive.
        sha256: of the archive, in hex digits.
        state: where it stands.
        created_at: when it was begun.
        owner: who sends it; None where the server asked nobody for a token then.
        max_bytes: that all uploads of the owner may take; None for any number.
        problem: why it was refused, or could not be kept.
        contents: once it is ready.
    """

    id: str
    kind: UploadKind
    name: str
    bytes: int
    sha256: str
    state: UploadState
    created_at: datetime
    owner: str | None = None
    max_bytes: int | None = None
    problem: str | None = None
    contents: Contents | None = None

    @property
    def reference(self) -> str:
        """The name that a job gives it."""
        return f"{UPLOAD}{self.id}"

    @property
    def taken(self) -> int:
        """The bytes that count against what its owner may take."""
        if self.state is UploadState.REFUSED:
            return 0
        return self.bytes if self.contents is None else self.contents.bytes

    def moved_to(self, state: UploadState, *, problem: str | None = None, contents: Contents | None = None) -> "Upload":
        """Return the upload after its move to `state`."""
        return replace(self, state=state, problem=problem, contents=contents)


def new_upload(
    kind: UploadKind, name: str, n_bytes: int, sha256: str, *, owner: str | None = None, max_bytes: int | None = None
) -> Upload:
    """Return an upload of which nothing has been received."""
    state = UploadState.RECEIVING
    return Upload(secrets.token_hex(8), kind, name, n_bytes, sha256, state, now(), owner, max_bytes)


def unknown_upload(upload_id: str) -> UnknownUploadError:
    """Return the error that no upload is called `upload_id`."""
    return UnknownUploadError(
        f"no upload {upload_id!r:.80}; GET /v1/models and /v1/datasets (or `shrinkml upload list`) list yours"
    )


def require_receiving(upload: Upload) -> None:
    """Return where more of the archive may be sent.

    Raises:
        TransitionError: it is whole already.
    """
    if upload.state is not UploadState.RECEIVING:
        raise TransitionError(f"upload {upload.id} is {upload.state}: nothing more of it is taken in")
