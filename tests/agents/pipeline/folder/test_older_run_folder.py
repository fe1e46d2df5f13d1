import json

import pytest

from agents.pipeline.folder.older_run_folder import renew

BEGUN = [
    "01-validate", "02-baseline", "03-calibrate-2.24x", "04-search-2.24x", "09-calibrate-5x", "10-search-5x",
    "15-calibrate-3.35x", "21-calibrate-5x", "22-search-5x.partial",
]  # fmt: skip
NAMED = [
    "baseline", "calibrate-2.24x", "calibrate-3.35x", "calibrate-5x", "calibrate-5x-2", "search-2.24x", "search-5x",
    "search-5x-2.partial", "validate",
]  # fmt: skip


@pytest.fixture
def older(tmp_path):
    """A folder as it was left by a version that numbered stages."""
    for name in BEGUN:
        (tmp_path / "stages" / name).mkdir(parents=True)
        (tmp_path / "stages" / name / "result.json").write_text(json.dumps({"stage": name}))
    workspace = {"model": "../../checkpoints/stage-2.24x", "texts": ["stage-struck"]}
    (tmp_path / "stages" / "09-calibrate-5x" / "workspace.json").write_text(json.dumps(workspace))
    for name in ("stage-2.24x", "stage-5x", "stage-5x-2", "final"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_stages_lose_their_numbers_and_later_ones_of_a_ratio_get_a_count(older):
    renew(older)
    assert names(older / "stages") == NAMED
    second = json.loads((older / "stages" / "calibrate-5x-2" / "result.json").read_text())
    assert second == {"stage": "21-calibrate-5x"}


def test_checkpoints_of_steps_are_called_so_wherever_they_are_named(older):
    renew(older)
    assert names(older / "checkpoints") == ["final", "step-2.24x", "step-5x", "step-5x-2"]
    workspace = json.loads((older / "stages" / "calibrate-5x" / "workspace.json").read_text())
    assert workspace == {"model": "../../checkpoints/step-2.24x", "texts": ["stage-struck"]}


@pytest.mark.parametrize("n_renamed", [1, 4, 8])
def test_an_interrupted_renewal_goes_on(older, n_renamed, monkeypatch):
    done = []
    rename = type(older).rename

    def until_killed(path, target):
        if len(done) == n_renamed:
            raise KeyboardInterrupt
        done.append(target)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(type(older), "rename", until_killed)
        with pytest.raises(KeyboardInterrupt):
            renew(older)
    renew(older)
    assert names(older / "stages") == NAMED
    assert names(older / "checkpoints") == ["final", "step-2.24x", "step-5x", "step-5x-2"]


def test_a_present_folder_stays_as_it_is(tmp_path):
    for name in ("search-5x", "search-5x-2", "validate", "finetune-5x.partial"):
        (tmp_path / "stages" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-5x").mkdir(parents=True)
    renew(tmp_path)
    assert names(tmp_path / "stages") == ["finetune-5x.partial", "search-5x", "search-5x-2", "validate"]
