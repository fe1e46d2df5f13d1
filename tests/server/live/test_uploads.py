"""Uploads to a server in a process of its own that is killed while it takes them in."""

import hashlib
import shutil
import socket

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file

from server.home import uploads_folder
from server.uploads.upload_folder import UploadFolder
from shrinkml.storage.archives import packed_model


@pytest.mark.slow
def test_an_upload_survives_the_death_of_its_server_and_a_job_runs_with_it(
    serving, data_folder, request_body, tmp_path
):
    model = tmp_path / "mine"
    shutil.copytree(data_folder / "model", model)
    save_file({"weight": np.random.default_rng(0).random((1024, 1024), np.float32)}, model / "model.safetensors")
    with packed_model(model) as archive:
        content = archive.read_bytes()
    folder = UploadFolder(uploads_folder(tmp_path))
    with serving() as server:
        body = {"name": "x.tar", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        begun = httpx.post(f"{server.url}/v1/models", json=body).json()
        host, port = server.url.removeprefix("http://").split(":")
        head = f"PUT {begun['links']['content']} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + content[:-1])
            server.wait_for(lambda: folder.received(begun["id"]))
            server.kill(server.process.pid)
            server.wait_for(lambda: not server.family())
    kept = folder.archive(begun["id"]).read_bytes()
    assert kept
    assert content.startswith(kept)
    told = []
    with serving() as server:
        sent = server.client.upload_model(model, on_progress=lambda *it: told.append(it))
        assert (sent["id"], sent["state"]) == (begun["id"], "ready")
        assert told[0] == (len(kept), len(content)), "it went on from there"
        job = server.client.submit({**request_body, "model": sent["model"]["name"]})
        assert job.wait()["state"] == "succeeded"
        assert folder.names() == {"received": set(), "unpacking": set(), "content": {sent["sha256"]}}
