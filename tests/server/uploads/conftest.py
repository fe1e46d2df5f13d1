"""Archives of a model and a data set, and the uploads of a home to send them to."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from server.auth.caller import ANYBODY, Caller
from server.auth.tokens import Role
from server.uploads.part_range import PartRange
from server.uploads.upload_state import Upload, UploadKind
from server.uploads.uploads import Uploads, uploads_in

ANNA = Caller("anna", Role.USER)


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in files.items():
            found.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="session")
def model_files(data_folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((data_folder / "model").iterdir())}


@pytest.fixture(scope="session")
def dataset_files(data_folder: Path) -> dict[str, bytes]:
    """The manifests of `data_folder` and their audio."""
    files = (path for path in sorted(data_folder.iterdir()) if path.name[:-6] in ("train", "dev", "test"))
    audio = (path for path in sorted(data_folder.glob("*.wav")))
    return {path.name: path.read_bytes() for path in (*files, *audio)}


@pytest.fixture
def uploads(engine, tmp_path) -> Uploads:
    """Uploads whose checks are made as soon as they are whole."""
    return uploads_in(tmp_path, engine)


def begin(uploads: Uploads, kind: UploadKind, archive: bytes, caller: Caller = ANYBODY, name: str = "x.tar") -> Upload:
    return uploads.begin(kind, name, len(archive), hashlib.sha256(archive).hexdigest(), caller)[0]


def send(uploads: Uploads, kind: UploadKind, archive: bytes, caller: Caller = ANYBODY) -> Upload:
    """The upload of `archive` after all of it has come."""
    upload = begin(uploads, kind, archive, caller)
    with uploads.receiving(upload, PartRange(None, len(archive)), None) as part:
        part.write(archive)
    return uploads.get(upload.id)


@pytest.fixture
def ready(uploads, model_files, dataset_files) -> Callable[..., Upload]:
    """Sends the model or the data set of the tests."""
    archives = {UploadKind.MODEL: tar_of(model_files), UploadKind.DATASET: tar_of(dataset_files)}
    return lambda kind, caller=ANYBODY: send(uploads, kind, archives[kind], caller)
