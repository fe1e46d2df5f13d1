import io
import os
import tarfile

import pytest

from server.artefacts.artefact_store import Artefact, ArtefactKind
from server.artefacts.checkpoint_tar import checkpoint_of, find_checkpoint, tar_name, write_tar
from server.artefacts.memory_artefacts import MemoryArtefacts
from server.service_errors import MissingArtefactError


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "final"
    (folder / "more").mkdir(parents=True)
    (folder / "config.json").write_text("final")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "more" / "notes.txt").write_text("note")
    return folder


def tar_of(checkpoint) -> bytes:
    stream = io.BytesIO()
    write_tar(checkpoint, stream)
    return stream.getvalue()


def test_a_tar_holds_the_folder_under_its_name(checkpoint):
    with tarfile.open(fileobj=io.BytesIO(tar_of(checkpoint))) as tar:
        names = ["final/config.json", "final/model.safetensors", "final/more", "final/more/notes.txt"]
        assert tar.getnames() == names
        assert tar.extractfile("final/model.safetensors").read() == b"weights"


def test_packing_again_gives_the_same_bytes_whenever_and_by_whomever(checkpoint):
    first = tar_of(checkpoint)
    for path in checkpoint.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert tar_of(checkpoint) == first


@pytest.fixture
def artefacts(artefacts_of):
    return artefacts_of("final.tar", "stage-2x.tar")


@pytest.fixture
def artefacts_of():
    def make(*names: str) -> MemoryArtefacts:
        store = MemoryArtefacts()
        for name in names:
            store.put("job-1", name, ArtefactKind.CHECKPOINT, lambda stream: stream.write(b"x"))
        store.put("job-1", "report.json", ArtefactKind.REPORT, lambda stream: stream.write(b"{}"))
        return store

    return make


@pytest.mark.parametrize("name", ["final", "final.tar"])
def test_an_artefact_is_found_by_its_own_name_or_its_checkpoints(artefacts, name):
    assert find_checkpoint(artefacts, "job-1", name).name == "final.tar"


def test_a_missing_artefact_is_named_with_those_that_are_there(artefacts, artefacts_of):
    with pytest.raises(MissingArtefactError, match="none yet: they are packed when the job ends"):
        find_checkpoint(artefacts_of(), "job-1", "final")
    with pytest.raises(MissingArtefactError, match=r"no checkpoint 'best'; it has final.tar, stage-2x.tar"):
        find_checkpoint(artefacts, "job-1", "best")


def test_only_a_checkpoint_is_found(artefacts):
    with pytest.raises(MissingArtefactError, match=r"no checkpoint 'report.json'"):
        find_checkpoint(artefacts, "job-1", "report.json")


def test_a_file_and_its_checkpoint_tell_each_others_name():
    assert checkpoint_of(Artefact(tar_name("stage-3.5x"), ArtefactKind.CHECKPOINT, 1, "")) == "stage-3.5x"
