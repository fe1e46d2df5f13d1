"""The commands against a server: what they send, print, and do where connections break."""

import json

import httpx
import pytest

from server.uploads.upload_state import UploadKind
from tests.server.uploads.conftest import begin


@pytest.fixture(autouse=True)
def environment(url, monkeypatch):
    monkeypatch.setenv("SHRINKML_URL", url)
    monkeypatch.delenv("SHRINKML_TOKEN", raising=False)
    monkeypatch.setattr("shrinkml.upload.PART_BYTES", 3000)
    monkeypatch.setattr("shrinkml.upload.FIRST_WAIT_S", 0.0)
    monkeypatch.setattr("shrinkml.upload.LOOK_S", 0.0)


def test_a_model_is_sent_and_named(shrinkml, services, data_folder):
    code, out, err = shrinkml("upload", "model", data_folder / "model")
    (upload,) = services.uploads.rows.all()
    assert (code, out) == (0, f"upload:{upload.id}\n")
    assert (upload.kind, upload.name, upload.state) == ("model", "model.tar", "ready")
    assert err.startswith("model: 0.0 of ")
    again = json.loads(shrinkml("upload", "model", data_folder / "model", "--json").out)
    assert (again["id"], again["state"]) == (upload.id, "ready")


def test_manifests_are_sent_with_their_audio_and_named_each(shrinkml, services, data_folder):
    paths = [data_folder / f"{split}.jsonl" for split in ("train", "dev", "test")]
    code, out, _ = shrinkml("upload", "dataset", *paths)
    (upload,) = services.uploads.rows.all()
    assert code == 0
    assert out.split() == [f"upload:{upload.id}/{split}.jsonl" for split in ("dev", "test", "train")]
    folder = services.uploads.place_of(upload)
    assert len(list((folder / "audio").iterdir())) == 6


def test_connections_that_break_lose_nothing(shrinkml, services, data_folder, monkeypatch):
    """Of each three parts one never arrives, and one does, but its answer is lost."""
    n_parts, handle = 0, httpx.HTTPTransport.handle_request

    def breaking(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        nonlocal n_parts
        n_parts += request.method == "PUT"
        if request.method == "PUT" and n_parts % 3 == 1:
            raise httpx.WriteError("lost on the way", request=request)
        response = handle(self, request)
        if request.method == "PUT" and n_parts % 3 == 2:
            response.read()
            raise httpx.ReadError("the answer is lost", request=request)
        return response

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", breaking)
    code, out, _ = shrinkml("upload", "model", data_folder / "model")
    (upload,) = services.uploads.rows.all()
    assert (code, out) == (0, f"upload:{upload.id}\n")
    assert n_parts > upload.bytes / 3000


def test_uploads_are_listed_and_deleted(shrinkml, services, data_folder):
    shrinkml("upload", "model", data_folder / "model")
    begun = begin(services.uploads, UploadKind.DATASET, b"never sent", name="speech.tar")
    listed = json.loads(shrinkml("upload", "list", "--json").out)
    assert [(it["kind"], it["state"]) for it in listed] == [("model", "ready"), ("dataset", "receiving")]
    rows = [line.split() for line in shrinkml("upload", "list").out.splitlines()]
    assert rows[0] == ["upload", "kind", "name", "state", "size", "in", "jobs"]
    assert rows[1][:4] == [listed[0]["id"], "model", "model.tar", "ready"]
    assert rows[1][-1] == f"upload:{listed[0]['id']}"
    assert rows[2][:5] == [begun.id, "dataset", "speech.tar", "0%", "received"]
    for upload in listed:
        assert shrinkml("upload", "delete", upload["id"]).out == f"{upload['id']} is deleted\n"
    assert services.uploads.rows.all() == []
    code, _, err = shrinkml("upload", "delete", "x")
    assert code == 1
    assert "no upload 'x'" in err


def test_what_is_no_model_is_told_before_anything_is_sent(shrinkml, services, tmp_path):
    code, _, err = shrinkml("upload", "model", tmp_path)
    assert code == 2
    assert "is no checkpoint: config.json missing" in err
    assert services.uploads.rows.all() == []
