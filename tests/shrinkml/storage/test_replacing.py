import pytest

from shrinkml.errors import CheckpointError
from shrinkml.storage.replacing import add_file, check_replaceable, replacing


def write(folder, text):
    with replacing(folder) as partial:
        (partial / "config.json").write_text(text)
        (partial / "templates").mkdir()
        (partial / "templates" / "one.txt").touch()


def refuse(folder, match, **options):
    """That nothing is written to `folder`, however it is asked for."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(CheckpointError, match=match):
        check_replaceable(folder, **options)
    with pytest.raises(CheckpointError, match=match), replacing(folder, **options):
        pytest.fail("something would be written")
    assert sorted(folder.rglob("*")) == before


def test_a_model_is_replaced_whole(tmp_path):
    write(tmp_path / "model", "first")
    add_file(tmp_path / "model", "README.md", "about the first")
    write(tmp_path / "model", "second")
    assert (tmp_path / "model" / "config.json").read_text() == "second"
    assert not (tmp_path / "model" / "README.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failure_leaves_what_was_there(tmp_path):
    write(tmp_path / "model", "first")
    with pytest.raises(RuntimeError, match="no space"), replacing(tmp_path / "model"):
        raise RuntimeError("no space")
    assert (tmp_path / "model" / "config.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_somebody_elses_is_left_alone_whatever_its_files_are_called(tmp_path):
    for name in ("config.json", "data.csv", "model.safetensors", "thesis.txt", "todo.txt"):
        (tmp_path / name).touch()
    refuse(tmp_path, "ShrinkML did not write: config.json, data.csv, model.safetensors and 2 more; write to another")
    check_replaceable(tmp_path / "new")


@pytest.mark.parametrize("mine", ["NOTES.md", "checkpoint-100/weights.bin", "templates/two.txt"])
def test_a_model_beside_which_somebody_put_a_file_is_left_alone(tmp_path, mine):
    write(tmp_path, "first")
    (tmp_path / mine).parent.mkdir(exist_ok=True)
    (tmp_path / mine).write_text("mine")
    refuse(tmp_path, f"holds what ShrinkML did not write: .*{mine}; write to another folder")


def test_a_model_of_another_form_is_left_alone(tmp_path):
    write(tmp_path, "a checkpoint")
    refuse(tmp_path, "is of another form: it has no recogniser.json; write to another", mark="recogniser.json")


def test_a_file_is_no_place_for_a_folder(tmp_path):
    (tmp_path / "notes").touch()
    for folder in (tmp_path / "notes", tmp_path / "notes" / "model"):
        refuse(folder, "notes is a file; write to another folder")


def test_the_folder_that_a_program_runs_in_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", tmp_path, f"../{tmp_path.name}"):
        refuse(tmp_path / folder, r"is the folder that this runs in \(.*\); write to a folder inside it")
    write(tmp_path / "." / "model", "first")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
