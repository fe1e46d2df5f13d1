import os
import tarfile

import pytest

from server.artefacts.archive import find, pack, packed
from server.service_errors import MissingArtefactError


@pytest.fixture
def checkpoints(tmp_path):
    for name in ("final", "stage-2x", ".half.partial"):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(name)
        (folder / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "checkpoints"


def test_every_finished_checkpoint_is_packed_and_listed(checkpoints, tmp_path):
    artefacts = pack(checkpoints, tmp_path / "packed")
    assert [(a.name, a.checkpoint) for a in artefacts] == [("final.tar", "final"), ("stage-2x.tar", "stage-2x")]
    assert packed(tmp_path / "packed") == artefacts
    with tarfile.open(tmp_path / "packed" / "final.tar") as tar:
        assert tar.getnames() == ["final/config.json", "final/model.safetensors"]


def test_packing_again_gives_the_same_bytes_whenever_and_by_whomever(checkpoints, tmp_path):
    first = pack(checkpoints, tmp_path / "first")
    for path in checkpoints.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert pack(checkpoints, tmp_path / "second") == first


def test_a_job_without_checkpoints_has_no_artefacts(tmp_path):
    assert pack(tmp_path / "none", tmp_path / "packed") == []
    assert packed(tmp_path / "packed") == packed(tmp_path / "never packed") == []


@pytest.mark.parametrize("name", ["final", "final.tar"])
def test_an_artefact_is_found_by_its_own_name_or_its_checkpoints(checkpoints, tmp_path, name):
    pack(checkpoints, tmp_path / "packed")
    assert find(tmp_path / "packed", name).name == "final.tar"


def test_a_missing_artefact_is_named_with_those_that_are_there(checkpoints, tmp_path):
    with pytest.raises(MissingArtefactError, match="none yet: they are packed when the job ends"):
        find(tmp_path / "packed", "final")
    pack(checkpoints, tmp_path / "packed")
    with pytest.raises(MissingArtefactError, match=r"no checkpoint 'best'; it has final.tar, stage-2x.tar"):
        find(tmp_path / "packed", "best")
