"""Uploads in jobs: upload:ID is a model or the only manifest of a data set, upload:ID/NAME one of its manifests."""

from collections.abc import Callable, Mapping
from pathlib import Path

from server.service_errors import UnknownUploadError
from server.uploads.upload_state import Upload, UploadKind, UploadState
from server.uploads.uploads import Uploads
from shrinkml.errors import UnknownNameError
from shrinkml.job import JobSpec
from shrinkml.storage.bundle import UPLOAD

SPLITS = ("train", "dev", "test")
Locate = Callable[[JobSpec], tuple[JobSpec, list[Path]]]  # a job with paths for its uploads, and their folders


def uploads_of(spec: JobSpec) -> set[str]:
    """Return the ids of the uploads that `spec` names."""
    return {_parsed(text)[0] for text in _named(spec).values()}


def located(spec: JobSpec, uploads: Uploads, *, owner: str | None = None) -> tuple[JobSpec, list[Path]]:
    """Return `spec` with paths in place of the uploads that it names, and the folders that these lie in.

    Args:
        spec: a job.
        uploads: of the service.
        owner: only uploads of this one may be named; None for everybody's.

    Raises:
        UnknownNameError: there is no such upload, or none of that owner, kind or manifest; or it is not ready.
    """
    folders: list[Path] = []
    places: dict[str, str] = {}
    for field, text in _named(spec).items():
        upload_id, name = _parsed(text)
        upload = _found(field, upload_id, UploadKind.MODEL if field == "model" else UploadKind.DATASET, uploads, owner)
        folder = uploads.place_of(upload).resolve()
        folders.append(folder)
        places[field] = str(folder / _inside(field, upload, name))
    return _replaced(spec, places), folders


def no_uploads(spec: JobSpec) -> tuple[JobSpec, list[Path]]:
    """Return `spec`, where there are no uploads to name.

    Raises:
        UnknownNameError: it names one.
    """
    for field, text in _named(spec).items():
        raise UnknownNameError(f"{field}: no upload {text!r:.100}")
    return spec, []


def _named(spec: JobSpec) -> dict[str, str]:
    """Return field -> the reference to an upload in it."""
    values = {"model": spec.model, **{f"data.{split}": getattr(spec.data, split) for split in SPLITS}}
    return {field: value for field, value in values.items() if value is not None and value.startswith(UPLOAD)}


def _parsed(text: str) -> tuple[str, str]:
    """Return the id of the upload, and the name in it; "" for none."""
    upload_id, _, name = text.removeprefix(UPLOAD).partition("/")
    return upload_id, name


def _found(field: str, upload_id: str, kind: UploadKind, uploads: Uploads, owner: str | None) -> Upload:
    try:
        upload = uploads.get(upload_id, kind)
    except UnknownUploadError:
        upload = None
    if upload is None or (owner is not None and upload.owner != owner):
        raise UnknownNameError(f"{field}: no {kind} was uploaded as {upload_id!r:.80}; GET {kind.path} lists yours")
    if upload.state is not UploadState.READY:
        raise UnknownNameError(f"{field}: upload {upload_id} is {upload.state}; name it when it is ready")
    return upload


def _inside(field: str, upload: Upload, name: str) -> str:
    """Return the path in the folder of `upload` that `name` means there."""
    assert upload.contents is not None
    known = [manifest.name for manifest in upload.contents.manifests]
    if upload.kind is UploadKind.MODEL and not name:
        return ""
    if not name and len(known) == 1:
        return known[0]
    if name not in known:
        choice = ", ".join(f"{upload.reference}/{it}" for it in known) or upload.reference
        raise UnknownNameError(f"{field}: {upload.reference}/{name:.80} is nothing in that upload; allowed: {choice}")
    return name


def _replaced(spec: JobSpec, places: Mapping[str, str]) -> JobSpec:
    splits = {field.removeprefix("data."): path for field, path in places.items() if field != "model"}
    data = spec.data.model_copy(update=splits)
    return spec.model_copy(update={"model": places.get("model", spec.model), "data": data})
