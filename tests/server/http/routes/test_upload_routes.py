"""Uploads over sockets: sent, cut anywhere, continued, refused, named by jobs, deleted."""

import base64
import hashlib
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from server.limits import Limits
from server.uploads.upload_state import UploadKind
from tests.server.uploads.conftest import begin, dataset_files, model_files, tar_of, zip_of

__all__ = ["dataset_files", "model_files"]  # fixtures

CUTS = 25
PATIENCE_S = 120.0


@pytest.fixture
def announce(http):
    """Announces an archive at a path; the upload."""

    def announce(archive: bytes, path: str = "/v1/models", **changes: object) -> dict:
        body = {"name": "x.tar", "bytes": len(archive), "sha256": hashlib.sha256(archive).hexdigest()}
        response = http.post(path, json={**body, **changes})
        assert response.status_code in (200, 201), response.text
        return response.json()

    return announce


@pytest.fixture
def sent(http, announce):
    """Sends an archive to a path, whole; the upload then."""

    def sent(archive: bytes, path: str = "/v1/models") -> dict:
        upload = announce(archive, path)
        response = http.put(upload["links"]["content"], content=archive)
        assert response.status_code == 200, response.text
        return response.json()

    return sent


def test_a_model_is_announced_sent_listed_and_found(http, announce, sent, model_files):
    archive = tar_of(model_files)
    begun = announce(archive)
    assert (begun["state"], begun["received"], begun["model"]) == ("receiving", 0, None)
    ready = sent(archive)
    assert (ready["id"], ready["state"]) == (begun["id"], "ready")
    n_bytes = len(model_files["model.safetensors"])
    assert ready["model"] == {
        "name": f"upload:{ready['id']}", "family": "las", "parameters": 12, "bytes": n_bytes
    }  # fmt: skip
    assert http.get(ready["links"]["self"]).json() == ready
    listed = http.get("/v1/models").json()
    assert listed["uploads"] == [ready]
    assert listed["items"][-1] == ready["model"]
    assert all(0 < it["parameters"] * 2 <= it["bytes"] for it in listed["items"][:-1]), "those that are bundled"


def test_an_announcement_tells_where_the_upload_lies_and_if_it_is_new(http):
    body = {"name": "x.tar", "bytes": 9, "sha256": "0" * 64}
    answers = [http.post("/v1/datasets", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["Location"] == f"/v1/datasets/{answers[0].json()['id']}"


def test_a_job_of_uploads_is_accepted_and_keeps_them_until_it_is_gone(http, sent, model_files, dataset_files):
    model = sent(zip_of(model_files))
    dataset = sent(tar_of(dataset_files), "/v1/datasets")
    assert [it["utterances"] for it in dataset["manifests"]] == [2, 2, 2]
    splits = {it["name"].removesuffix(".jsonl"): it["reference"] for it in dataset["manifests"]}
    body = {"model": model["model"]["name"], "data": splits, "goal": {"compression_ratio": 3.0}}
    headers = {"Idempotency-Key": "k"}
    job = http.post("/v1/jobs", json=body, headers=headers).json()
    assert (job["job"]["model"], job["job"]["data"]["dev"]) == (body["model"], splits["dev"])
    assert http.post("/v1/jobs", json=body, headers=headers).json()["id"] == job["id"]
    for upload in (model, dataset):
        refused = http.delete(upload["links"]["self"])
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:shrinkml:problem:transition")
        assert f"job {job['id']} is queued and needs upload {upload['id']}" in refused.json()["detail"]
    http.post(f"/v1/jobs/{job['id']}/cancel")
    http.delete(f"/v1/jobs/{job['id']}")
    for upload in (model, dataset):
        assert http.delete(upload["links"]["self"]).status_code == 204
        assert http.get(upload["links"]["self"]).status_code == 404
    refused = http.post("/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:shrinkml:problem:unknown-name")
    assert "model: no model was uploaded as" in refused.json()["detail"]


def test_an_upload_cut_off_at_any_byte_goes_on_and_ends_with_the_right_digest(
    http, url, services, announce, monkeypatch
):
    monkeypatch.setattr("server.http.routes.upload_routes.GATHERED_BYTES", 1)  # what has come can be seen at once
    archive = tar_of({"config.json": b"{}", "noise": random.Random(0).randbytes(60_000)})
    upload, folder = announce(archive), services.uploads.folder
    content = folder.archive(upload["id"])
    for cut in sorted(random.Random(1).sample(range(1, len(archive)), CUTS)):
        with sending(url, upload, archive, folder.received(upload["id"])) as connection:
            connection.sendall(archive[folder.received(upload["id"]) : cut])
            wait_for(lambda cut=cut: folder.received(upload["id"]) == cut)
        assert content.read_bytes() == archive[:cut]
        assert http.get(upload["links"]["self"]).json()["received"] == cut
        with folder.held(upload["id"], wait=True):
            pass  # the server has seen that the connection is gone
    with sending(url, upload, archive, folder.received(upload["id"])) as connection:
        connection.sendall(archive[folder.received(upload["id"]) :])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    problem = http.get(upload["links"]["self"]).json()["problem"]
    assert "config.json describes no model that is known" in problem, "it arrived as it was sent, and was unpacked"


@contextmanager
def sending(url: str, upload: dict, archive: bytes, first: int) -> Iterator[socket.socket]:
    """A connection on which the head of a part was sent: all of `archive` from `first` on."""
    host, _, port = url.removeprefix("http://").partition(":")
    head = (
        f"PUT {upload['links']['content']} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(archive) - first}\r\n"
        f"Content-Range: bytes {first}-{len(archive) - 1}/{len(archive)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode())
        yield connection


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.001)


def test_parts_are_checked_by_their_digests_and_places(http, announce, model_files):
    archive = tar_of(model_files)
    content, total = announce(archive)["links"]["content"], len(archive)

    def put(first: int, part: bytes, **headers: str) -> httpx.Response:
        place = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{total}"}
        return http.put(content, content=part, headers=place | headers)

    digest = base64.b64encode(hashlib.sha256(archive[:100]).digest()).decode()
    assert put(0, archive[:100], **{"Content-Digest": f"sha-256=:{digest}:"}).json()["received"] == 100
    for refused, code in (
        (put(100, archive[100:200], **{"Content-Digest": f"sha-256=:{digest}:"}), "upload-part"),
        (put(100, archive[100:200], **{"Content-Digest": "sha-256=abc"}), "upload-part"),
        (put(100, archive[100:200], **{"Content-Range": "bytes 100-200/1"}), "upload-part"),
        (put(101, archive[101:200]), "transition"),
    ):
        assert (refused.status_code, refused.json()["type"]) == (
            409 if code == "transition" else 422,
            f"urn:shrinkml:problem:{code}",
        )
    assert http.get(content.removesuffix("/content")).json()["received"] == 100
    assert put(50, archive[50:]).json()["state"] == "ready", "a part may repeat what came"
    assert http.put(content, content=archive).json()["type"] == "urn:shrinkml:problem:transition"


def test_a_refused_upload_says_why(sent):
    refused = sent(tar_of({"../x": b""}))
    assert refused["state"] == "refused"
    assert "allowed are relative names without .." in refused["problem"]


def test_a_model_is_not_found_among_the_data_sets(http, sent, model_files):
    upload = sent(tar_of(model_files))
    for method, rest in (("GET", ""), ("PUT", "/content"), ("DELETE", "")):
        answer = http.request(method, f"/v1/datasets/{upload['id']}{rest}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:shrinkml:problem:unknown-upload")
    assert http.get(upload["links"]["self"]).is_success


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"sha256": "0" * 63}, "sha256"), ({"bytes": 0}, "bytes"), ({"name": "a\nb"}, "name"), ({"x": 1}, "x"),
     ({"bytes": 2**63}, "bytes"), ({"name": "\ud800"}, "name")],
)  # fmt: skip
def test_an_announcement_with_wrong_fields_is_refused_by_their_names(http, wrong, field):
    body = {"name": "x.tar", "bytes": 9, "sha256": "0" * 64, **wrong}
    answer = http.post("/v1/models", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_archive_beyond_the_limit_is_refused_before_it_is_sent(http, server, services):
    small = replace(services.uploads, limits=Limits(upload_gb=1e-6))
    server[1].state.services = replace(services, uploads=small)
    answer = http.post("/v1/models", json={"name": "x", "bytes": 1001, "sha256": "0" * 64})
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:shrinkml:problem:upload-size")


def test_a_client_that_sends_nothing_more_is_told_and_what_came_is_kept(http, url, server, services, announce):
    rules = replace(services.rules, limits=Limits(request_s=0.2))
    server[1].state.services = replace(services, rules=rules)
    archive = bytes(1000)
    upload = announce(archive)
    answer = b""
    with sending(url, upload, archive, 0) as connection:
        connection.sendall(archive[:300])
        while piece := connection.recv(1 << 16):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:shrinkml:problem:request-timeout" in answer
    assert http.get(upload["links"]["self"]).json()["received"] == 300


def test_who_sends_while_somebody_else_does_is_asked_to_wait(http, announce, services):
    upload = announce(b"abc")
    with services.uploads.folder.held(upload["id"]):
        answer = http.put(upload["links"]["content"], content=b"abc")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert begin(services.uploads, UploadKind.MODEL, b"abc").state == "receiving"
