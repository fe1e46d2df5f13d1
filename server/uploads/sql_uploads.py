"""The rows of uploads in the database of the jobs."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from server.jobs.model_facts import ModelFacts
from server.service_errors import OwnerLimitError, TransitionError, UploadSizeError
from server.stores.racing_writers import LostRaceError, until_won
from server.stores.schema import TOKENS, UPLOADS
from server.uploads.upload_state import (
    Contents,
    ManifestFacts,
    Upload,
    UploadKind,
    UploadState,
    unknown_upload,
)
from shrinkml.errors import ConfigError


class SqlUploads:
    """Uploads in a database. An owner has at most one of each kind and checksum."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the database of `engine`, whose tables are there (see `server.stores.schema.connect`)."""
        self._engine = engine

    def begin(self, upload: Upload, *, most: int) -> tuple[Upload, bool]:
        """Keep `upload`. Returns it and True, or the one of the same owner, kind and checksum and False.

        One that was refused is begun again.

        Raises:
            ConfigError: there is one with that checksum and of another size.
            UploadSizeError: it takes more than its owner has room for.
            OwnerLimitError: the owner has `most` uploads already.
        """

        def change() -> tuple[Upload, bool]:
            earlier = self.same(upload)
            if earlier is not None and earlier.bytes != upload.bytes:
                raise ConfigError(f"bytes: {upload.bytes}, but the archive with that sha256 has {earlier.bytes}")
            if earlier is not None and earlier.state is not UploadState.REFUSED:
                return earlier, False
            with self._engine.begin() as db:
                _take_turns(db, upload.owner)
                _require_room(db, upload, most=most + (earlier is not None))
                if earlier is None:
                    db.execute(sa.insert(UPLOADS).values(_values_of(upload)))
                    return upload, True
                again = earlier.moved_to(UploadState.RECEIVING)
                _swap(db, UploadState.REFUSED, again)
                return again, False

        return until_won(change)

    def same(self, upload: Upload) -> Upload | None:
        """Return the upload of the same owner, kind and checksum, if there is one."""
        with self._engine.connect() as db:
            row = db.execute(sa.select(UPLOADS).where(UPLOADS.c.key == _key(upload))).one_or_none()
        return None if row is None else _upload_of(row)

    def get(self, upload_id: str) -> Upload:
        """Return the upload called `upload_id`.

        Raises:
            UnknownUploadError: there is none.
        """
        with self._engine.connect() as db:
            row = db.execute(sa.select(UPLOADS).where(UPLOADS.c.id == upload_id)).one_or_none()
        if row is None:
            raise unknown_upload(upload_id)
        return _upload_of(row)

    def all(self, *, kind: UploadKind | None = None, owner: str | None = None) -> list[Upload]:
        """Return the uploads, of one `kind` and one `owner` where they are named, the newest first."""
        query = sa.select(UPLOADS).order_by(UPLOADS.c.number.desc())
        for column, wanted in ((UPLOADS.c.kind, kind), (UPLOADS.c.owner, owner)):
            query = query if wanted is None else query.where(column == wanted)
        with self._engine.connect() as db:
            return [_upload_of(row) for row in db.execute(query)]

    def room(self, upload: Upload) -> int | None:
        """Return the bytes that the content of `upload` may take beside all others of its owner; None for any."""
        if upload.max_bytes is None:
            return None
        with self._engine.connect() as db:
            others = db.execute(_taken(upload.owner).where(UPLOADS.c.id != upload.id)).scalar_one()
        return max(0, upload.max_bytes - int(others))

    def move(self, before: Upload, after: Upload) -> Upload:
        """Return `after`, which `before` has become.

        Raises:
            TransitionError: it was another one meanwhile, or was deleted.
        """
        try:
            with self._engine.begin() as db:
                _swap(db, before.state, after)
        except LostRaceError:
            raise TransitionError(
                f"upload {before.id} is no longer {before.state}; see what it is, and ask again"
            ) from None
        return after

    def delete(self, upload: Upload) -> bool:
        """Forget `upload`. Returns True where no other one has the same content.

        Raises:
            TransitionError: it is another one by now, or is forgotten already.
        """
        same = sa.and_(UPLOADS.c.id == upload.id, UPLOADS.c.state == upload.state)
        using = (UploadState.CHECKING, UploadState.READY)
        others = sa.select(UPLOADS.c.id).where(UPLOADS.c.sha256 == upload.sha256, UPLOADS.c.state.in_(using)).limit(1)
        with self._engine.begin() as db:
            if db.execute(sa.delete(UPLOADS).where(same)).rowcount != 1:
                raise TransitionError(f"upload {upload.id} changed just now; see what it is, and ask again")
            return db.execute(others).first() is None


def _take_turns(db: sa.Connection, owner: str | None) -> None:
    """Have who begins an upload of the same `owner` wait for this transaction: what is counted stays true."""
    db.execute(sa.update(TOKENS).where(TOKENS.c.owner == owner).values(owner=TOKENS.c.owner))


def _require_room(db: sa.Connection, upload: Upload, *, most: int) -> None:
    count = sa.select(sa.func.count()).where(UPLOADS.c.owner.is_not_distinct_from(upload.owner))
    if db.execute(count).scalar_one() >= most:
        raise OwnerLimitError(f"{most} uploads are there already, as many as the server keeps for one; delete some")
    taken = int(db.execute(_taken(upload.owner)).scalar_one())
    if upload.max_bytes is not None and taken + upload.bytes > upload.max_bytes:
        raise UploadSizeError(
            f"bytes: {upload.bytes}, and uploads of {upload.owner} take {taken} of the {upload.max_bytes} bytes that "
            "the token allows; delete some that are no longer needed"
        )


def _taken(owner: str | None) -> sa.Select[Any]:
    total = sa.func.coalesce(sa.func.sum(UPLOADS.c.taken), 0)
    return sa.select(total).where(UPLOADS.c.owner.is_not_distinct_from(owner))


def _swap(db: sa.Connection, before: UploadState, after: Upload) -> None:
    unchanged = sa.and_(UPLOADS.c.id == after.id, UPLOADS.c.state == before)
    if db.execute(sa.update(UPLOADS).where(unchanged).values(_values_of(after))).rowcount != 1:
        raise LostRaceError


def _key(upload: Upload) -> str:
    """Return what is unique: no name of an owner holds a line break."""
    return f"{upload.owner or ''}\n{upload.kind}\n{upload.sha256}"


def _values_of(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "key": _key(upload),
        "owner": upload.owner,
        "kind": upload.kind,
        "name": upload.name,
        "bytes": upload.bytes,
        "sha256": upload.sha256,
        "state": upload.state,
        "created_at": upload.created_at.isoformat(),
        "max_bytes": upload.max_bytes,
        "taken": upload.taken,
        "problem": upload.problem,
        "contents": upload.contents and asdict(upload.contents),
    }


def _upload_of(row: sa.Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        kind=UploadKind(row.kind),
        name=row.name,
        bytes=row.bytes,
        sha256=row.sha256,
        state=UploadState(row.state),
        created_at=datetime.fromisoformat(row.created_at),
        owner=row.owner,
        max_bytes=row.max_bytes,
        problem=row.problem,
        contents=row.contents and _contents_of(row.contents),
    )


def _contents_of(value: dict[str, Any]) -> Contents:
    model = value["model"] and ModelFacts(**value["model"])
    return Contents(value["bytes"], value["root"], model, tuple(ManifestFacts(**it) for it in value["manifests"]))
