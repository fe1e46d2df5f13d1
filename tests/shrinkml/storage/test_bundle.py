import pytest

from shrinkml.errors import CheckpointError
from shrinkml.storage.bundle import bundled_names, model_folder


def test_a_bundled_name_means_the_bundled_model_wherever_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "reference" / "las").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "reference/las" in bundled_names()
    assert (model_folder("reference/las") / "model.safetensors").is_file()
    assert model_folder("./reference/las").samefile(tmp_path / "reference" / "las")


@pytest.mark.parametrize("name", ["reference/", "reference/..", "reference/../..", "reference/../speech", "a\0b"])
def test_a_name_that_is_no_model_is_refused_with_those_there_are(name):
    with pytest.raises(
        CheckpointError, match=r"no model .*; give the folder of a checkpoint, .*: reference/ctc, reference/las"
    ):
        model_folder(name)


def test_a_name_that_is_too_long_for_the_disk_is_refused():
    with pytest.raises(CheckpointError, match="no model"):
        model_folder(300 * "a")


def test_an_uploaded_model_is_told_to_lie_on_its_server():
    with pytest.raises(CheckpointError, match="upload:1f2e lies on the server that it was uploaded to: submit the job"):
        model_folder("upload:1f2e")
