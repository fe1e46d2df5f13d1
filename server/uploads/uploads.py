"""The uploads of a service: begun, received in parts, checked, found by jobs, deleted."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from server.auth.caller import Caller
from server.home import uploads_folder
from server.jobs.failures import is_disk_full
from server.limits import DEFAULT_LIMITS, Limits
from server.service_errors import ArchiveError, TransitionError, UploadSizeError
from server.uploads.part_range import PartRange
from server.uploads.sql_uploads import SqlUploads
from server.uploads.unpacking import allowance_of, unpack
from server.uploads.upload_checks import contents_of
from server.uploads.upload_folder import Part, UploadFolder
from server.uploads.upload_state import (
    Contents,
    Upload,
    UploadKind,
    UploadState,
    new_upload,
    require_receiving,
    unknown_upload,
)
from shrinkml.errors import CheckpointError, ManifestError, ShrinkError

log = logging.getLogger(__name__)

GOOD_FOR_NOTHING = (ArchiveError, CheckpointError, ManifestError)  # an archive that was refused for these stays so
NO_SPACE = (
    "the archive is here, but the disk of the server has no space for what is in it: delete jobs and uploads that are "
    "no longer needed, then send an empty part"
)


def uploads_in(home: Path, engine: sa.Engine, limits: Limits = DEFAULT_LIMITS, **more: Any) -> "Uploads":
    """Return the uploads of `home`, whose database `engine` opens; `more` as `Uploads` has it."""
    return Uploads(SqlUploads(engine), UploadFolder(uploads_folder(home)), limits, **more)


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads.

    Attributes:
        rows: of them.
        folder: of their files.
        limits: on them.
        require_space: raises DiskFullError where so many bytes have no room on the disk.
        soon: calls what it is given, after what it was given before; it may return first.
    """

    rows: SqlUploads
    folder: UploadFolder
    limits: Limits = DEFAULT_LIMITS
    require_space: Callable[[int], None] = lambda n_bytes: None
    soon: Callable[[Callable[[], None]], None] = lambda errand: errand()

    def begin(self, kind: UploadKind, name: str, n_bytes: int, sha256: str, caller: Caller) -> tuple[Upload, bool]:
        """Return the caller's upload of that archive, and True where it was begun just now.

        Raises:
            UploadSizeError: the archive is too large.
            DiskFullError: there is no space for it.
            OwnerLimitError: the owner has too many uploads.
        """
        if n_bytes > self.limits.upload_bytes:
            raise UploadSizeError(
                f"bytes: {n_bytes}, and this server takes archives of {self.limits.upload_bytes} at most"
            )
        upload = new_upload(kind, name, n_bytes, sha256, owner=caller.owner, max_bytes=caller.max_bytes)
        earlier = self.rows.same(upload)
        if earlier is None or earlier.state is UploadState.REFUSED:
            self.require_space(n_bytes)
        found, is_new = self.rows.begin(upload, most=self.limits.uploads)
        log.info("upload %s of a %s, %d bytes, is %s", found.id, kind, n_bytes, "begun" if is_new else found.state)
        return found, is_new

    def get(self, upload_id: str, kind: UploadKind | None = None) -> Upload:
        """Return the upload called `upload_id`, of that `kind` where it is named.

        Raises:
            UnknownUploadError: there is none.
        """
        upload = self.rows.get(upload_id)
        if kind not in (None, upload.kind):
            raise unknown_upload(upload_id)
        return upload

    def received(self, upload: Upload) -> int:
        """Return the bytes of the archive that have come."""
        return self.folder.received(upload.id) if upload.state is UploadState.RECEIVING else upload.bytes

    @contextmanager
    def receiving(self, upload: Upload, place: PartRange, digest: str | None) -> Iterator[Part]:
        """Take in the part of `upload` that belongs at `place`, alone; the last one begins the check.

        Where the block is left by an error, what was written of the part is kept.

        Raises:
            TransitionError: the upload is whole already, or the part begins behind what has come.
            UploadPartError: the part does not fit the archive, or `digest` is none.
            BusyError: another request sends to it.
        """
        require_receiving(upload)
        with self.folder.held(upload.id) as file:
            try:
                require_receiving(self.rows.get(upload.id))
            except ShrinkError:  # deleted or completed just now: `held` may have made a file
                self._forget_empty(upload.id)
                raise
            first = place.first_of(upload.bytes, self.folder.received(upload.id))
            part = Part(file, first, digest)
            yield part
            whole = part.finish() == upload.bytes
            if whole:
                os.fsync(file.fileno())
                self.rows.move(upload, upload.moved_to(UploadState.CHECKING))
        if whole:
            self.soon(partial(self.check, upload.id))

    def recover(self) -> None:
        """Finish what an earlier process of the service has left: checks, and the removal of archives behind them."""
        left = self.folder.names()
        for upload in self.rows.all():
            if upload.state is UploadState.CHECKING:
                self.soon(partial(self.check, upload.id))
            elif upload.state is not UploadState.RECEIVING and upload.id in left["received"] | left["unpacking"]:
                self.soon(partial(self._clear, upload.id))

    def check(self, upload_id: str) -> None:
        """Unpack and check an archive that is whole: the upload is ready or refused then."""
        with self.folder.held(upload_id, wait=True):
            upload = self.rows.get(upload_id)
            if upload.state is not UploadState.CHECKING:
                return
            try:
                self._make_ready(upload)
            except GOOD_FOR_NOTHING as error:
                self._refuse(upload, self._without_places(str(error), upload))
            except Exception as error:
                shutil.rmtree(self.folder.unpacking(upload.id), ignore_errors=True)
                if is_disk_full(error):  # the archive stays: an empty part begins the check again
                    self.rows.move(upload, upload.moved_to(UploadState.RECEIVING, problem=NO_SPACE))
                else:
                    log.exception("the check of upload %s failed", upload.id)
                    self._refuse(upload, f"an unforeseen {type(error).__name__} ended the check; the log tells more")

    def delete(self, upload: Upload) -> None:
        """Forget `upload`, and remove what nobody else has sent as well.

        Raises:
            TransitionError: it is being checked.
            BusyError: another request sends to it.
        """
        if upload.state is UploadState.CHECKING:
            raise TransitionError(f"upload {upload.id} is being checked; delete it when that is done")
        with self.folder.held(upload.id), self.folder.placing():
            try:
                if self.rows.delete(upload) and upload.state is UploadState.READY:
                    self.folder.remove_content(upload.sha256)
                self.folder.clear(upload.id)
            except TransitionError:
                self._forget_empty(upload.id)
                raise
        log.info("upload %s is deleted", upload.id)

    def place_of(self, upload: Upload) -> Path:
        """Return the folder that holds the model or the manifests of `upload`, which is ready."""
        assert upload.contents is not None
        return self.folder.content(upload.sha256) / upload.contents.root

    def _make_ready(self, upload: Upload) -> None:
        """Make the content of `upload` what jobs find, unless it is there: somebody else has sent the same."""
        _require_sha256(self.folder.archive(upload.id), upload.sha256)
        with self.folder.placing():
            known = self.folder.content(upload.sha256).is_dir()
        folder = self.folder.content(upload.sha256) if known else self._unpacked(upload)
        contents = contents_of(upload, folder, self.limits)
        _require_room(contents, self.rows.room(upload))
        with self.folder.placing():
            self.folder.place(upload.id, upload.sha256)
            self.rows.move(upload, upload.moved_to(UploadState.READY, contents=contents))
        self.folder.clear(upload.id)
        log.info("upload %s is ready: %d bytes%s", upload.id, contents.bytes, ", known already" if known else "")

    def _unpacked(self, upload: Upload) -> Path:
        folder = self.folder.unpacking(upload.id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        archive = self.folder.archive(upload.id)
        unpack(archive, folder, allowance_of(archive, self.limits, room=self.rows.room(upload)))
        return folder

    def _clear(self, upload_id: str) -> None:
        """Remove the archive of an upload that needs it no more."""
        with self.folder.held(upload_id, wait=True):
            if self.rows.get(upload_id).state in (UploadState.READY, UploadState.REFUSED):
                self.folder.clear(upload_id)

    def _refuse(self, upload: Upload, problem: str) -> None:
        self.rows.move(upload, upload.moved_to(UploadState.REFUSED, problem=problem))
        self.folder.clear(upload.id)
        log.info("upload %s is refused: %s", upload.id, problem)

    def _without_places(self, text: str, upload: Upload) -> str:
        """Return `text` with files of the archive as the archive names them."""
        for folder in (self.folder.unpacking(upload.id), self.folder.content(upload.sha256)):
            for path in (folder.resolve(), folder):
                text = text.replace(f"{path}/", "").replace(str(path), upload.name)
        return text

    def _forget_empty(self, upload_id: str) -> None:
        if self.folder.received(upload_id) == 0:
            self.folder.archive(upload_id).unlink(missing_ok=True)


def _require_sha256(archive: Path, expected: str) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ArchiveError(f"the archive arrived with sha256 {found}, and {expected} was announced; send it again")


def _require_room(contents: Contents, room: int | None) -> None:
    if room is not None and contents.bytes > room:
        raise ArchiveError(f"its files take {contents.bytes} bytes, and its owner has room for {room}")
