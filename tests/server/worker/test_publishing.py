"""From a run's folder to the artefact store."""

import json
import logging
import shutil
import tarfile

import pytest

from agents.pipeline.folder.run_folder import POLICY
from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.memory_artefacts import MemoryArtefacts
from server.worker.publishing import adopt_earlier_runs, publish_policy, publish_run


@pytest.fixture
def store():
    return MemoryArtefacts()


@pytest.fixture
def folder(tmp_path):
    """A run with two checkpoints, one half written, and a report."""
    folder = tmp_path / "jobs" / "tiny-1"
    for name in ("final", "stage-2x", ".half.partial"):
        checkpoint = folder / "checkpoints" / name
        checkpoint.mkdir(parents=True)
        (checkpoint / "config.json").write_text(name)
        (checkpoint / "model.safetensors").write_bytes(b"weights")
    (folder / "report.json").write_text("{}")
    (folder / "report.html").write_text("<h1>Report</h1>")
    return folder


def names(store, kind: ArtefactKind | None = None) -> list[str]:
    return [artefact.name for artefact in store.entries("tiny-1", kind)]


def test_every_finished_checkpoint_is_packed_and_listed(folder, store):
    publish_run(folder, store, "tiny-1")
    assert names(store, ArtefactKind.CHECKPOINT) == ["final.tar", "stage-2x.tar"]
    with tarfile.open(fileobj=store.open("tiny-1", store.find("tiny-1", "final.tar"))) as tar:
        assert tar.getnames() == ["final/config.json", "final/model.safetensors"]


def test_reports_and_policy_come_as_they_are(folder, store):
    (folder / POLICY).write_text('{"moves.bias": [0.5]}')
    publish_run(folder, store, "tiny-1")
    assert names(store, ArtefactKind.REPORT) == ["report.html", "report.json"]
    for name in ("report.json", "report.html", "policy.json"):
        assert store.open("tiny-1", store.find("tiny-1", name)).read() == (folder / name).read_bytes()


def test_a_checkpoint_that_was_withdrawn_is_no_longer_listed(folder, store):
    publish_run(folder, store, "tiny-1")
    (folder / "checkpoints" / "stage-2x").rename(folder / "checkpoints" / ".gone")
    publish_run(folder, store, "tiny-1")
    assert names(store) == ["final.tar", "report.html", "report.json"]


def test_a_run_that_made_nothing_publishes_nothing(tmp_path, store):
    publish_run(tmp_path / "none", store, "tiny-1")
    publish_policy(tmp_path / "none", store, "tiny-1")
    assert names(store) == []


def test_what_is_published_is_logged(folder, store, caplog):
    caplog.set_level(logging.INFO)
    publish_run(folder, store, "tiny-1")
    sha256 = store.find("tiny-1", "report.json").sha256
    assert f"job tiny-1: published report.json, 2 bytes, sha256 {sha256}" in caplog.messages


def test_jobs_of_an_earlier_version_can_still_be_downloaded(folder, store):
    packed = folder / "artefacts"
    packed.mkdir()
    (packed / "final.tar").write_bytes(b"tar")
    index = [{"name": "final.tar", "checkpoint": "final", "bytes": 3, "sha256": "0"}]
    (packed / "index.json").write_text(json.dumps(index))
    adopt_earlier_runs(folder.parent, store)
    assert names(store) == ["final.tar", "report.html", "report.json", "stage-2x.tar"]
    assert not packed.exists()
    store.delete("tiny-1", "final.tar")
    adopt_earlier_runs(folder.parent, store)
    assert "final.tar" not in names(store), "once is enough"


def test_what_an_earlier_version_packed_is_kept_where_its_checkpoints_are_gone(folder, store):
    shutil.rmtree(folder / "checkpoints")
    packed = folder / "artefacts"
    packed.mkdir()
    (packed / "final.tar").write_bytes(b"tar")
    (packed / "index.json").write_text("[]")
    adopt_earlier_runs(folder.parent, store)
    assert names(store, ArtefactKind.CHECKPOINT) == ["final.tar"]
    assert not packed.exists()
