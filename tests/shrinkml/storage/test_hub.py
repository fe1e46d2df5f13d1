import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

import shrinkml
from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.storage.hub import check_allowed, fetch
from tests.pretend_hub import PretendHub, pretend_hub

NAME = "hf:someone/tiny-recogniser"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with pretend_hub() as hub:
        hub.stand_in(monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    for name in ("config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin", "run.py", "onnx/config.json"):
        (folder / name).write_text(f'{{"file": "{name}"}}')
    (folder / "model.fp32.safetensors").write_text("the same in other numbers")
    return folder


def test_a_model_is_fetched_without_pickles_programs_and_copies(hub, model):
    commit = hub.push("someone/tiny-recogniser", model)
    folder = fetch(NAME)
    assert folder.name == commit
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert (folder / "config.json").read_text() == (model / "config.json").read_text()
    assert sorted(set(hub.asked)) == ["config.json", "model.safetensors", "vocab.txt"]


def test_a_commit_stays_what_it_is_when_the_hub_moves_on_or_away(hub, model, tmp_path, monkeypatch):
    first = hub.push("someone/tiny-recogniser", model)
    folder = fetch(NAME)
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "model.safetensors").write_text("other weights")
    second = hub.push("someone/tiny-recogniser", newer)
    assert fetch(NAME).name == second
    assert fetch(NAME, first) == folder
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = PretendHub(f"http://127.0.0.1:{free.getsockname()[1]}")
    nobody.stand_in(monkeypatch, tmp_path / "cache")
    assert fetch(NAME, first) == folder


def test_a_model_that_cannot_be_had_is_an_error_that_says_how_else(hub, monkeypatch):
    with pytest.raises(CheckpointError, match=r"hf:no/such cannot be fetched from the hub: .*`hf download no/such"):
        fetch("hf:no/such")
    with pytest.raises(CheckpointError, match="hf:not an id cannot be fetched"):
        fetch("hf:not an id")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="cannot be fetched from the hub"):
        fetch("hf:no/such")


def test_a_connection_that_breaks_off_is_an_error_that_says_how_else(tmp_path, monkeypatch):
    class HangUp(BaseRequestHandler):
        def handle(self):
            self.request.recv(1000)

    with ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        PretendHub(f"http://127.0.0.1:{server.server_address[1]}").stand_in(monkeypatch, tmp_path / "cache")
        with pytest.raises(CheckpointError, match=r"hf:someone/tiny-recogniser cannot be fetched from the hub: "):
            fetch(NAME)
        server.shutdown()
        thread.join()


def test_a_model_of_pickles_alone_is_refused(hub, model):
    (model / "model.safetensors").unlink()
    (model / "model.fp32.safetensors").unlink()
    hub.push("someone/tiny-recogniser", model)
    with pytest.raises(CheckpointError, match=r"holds no model.safetensors; pickled weights are not fetched"):
        fetch(NAME)


def test_the_hub_has_to_be_allowed():
    check_allowed(NAME, allow_hub=True)
    check_allowed("models/mine", allow_hub=False)
    with pytest.raises(
        ConfigError, match=r"nothing is fetched here. The operator allows it with --allow-hub or SHRINKML_ALLOW"
    ):
        check_allowed(NAME, allow_hub=False)


def test_only_jobs_fetch():
    with pytest.raises(CheckpointError, match=r"only jobs fetch models. By hand: `hf download someone/tiny-recogniser"):
        shrinkml.load(NAME)
