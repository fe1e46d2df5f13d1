import json

import pytest

from agents.pipeline.folder.hub_revision import local_model
from agents.pipeline.folder.run_folder import RunFolder
from shrinkml.errors import ConfigError
from tests.pretend_hub import pretend_hub

NAME = "hf:someone/tiny"


@pytest.fixture
def hub(tmp_path, tiny_model_dir, monkeypatch):
    with pretend_hub() as hub:
        hub.stand_in(monkeypatch, tmp_path / "cache")
        hub.push("someone/tiny", tiny_model_dir)
        yield hub


def test_a_resumed_job_goes_on_with_the_commit_that_it_began_with(hub, tmp_path, tiny_model_dir):
    run = RunFolder(tmp_path)
    began_with = local_model(run, NAME, allow_hub=True)
    hub.push("someone/tiny", tiny_model_dir)
    assert local_model(run, NAME, allow_hub=True) == began_with
    other = tmp_path / "other"
    other.mkdir()
    assert local_model(RunFolder(other), NAME, allow_hub=True) != began_with
    assert json.loads((tmp_path / "hub.json").read_text())["revision"] in began_with


def test_without_leave_nothing_is_asked(hub, tmp_path):
    with pytest.raises(ConfigError, match="nothing is fetched here"):
        local_model(RunFolder(tmp_path), NAME, allow_hub=False)
    assert not hub.asked
    assert not list(tmp_path.glob("hub.json"))


def test_other_models_are_left_where_they_lie(tmp_path):
    assert local_model(RunFolder(tmp_path), "reference/las", allow_hub=False) == "reference/las"
