import hashlib

import pytest

from server.home import artefacts_folder
from server.worker.publishing import publish_run


@pytest.fixture
def job_id(store, spec, artefacts, tmp_path) -> str:
    """A job with one packed checkpoint, "final"."""
    job, _ = store.submit(spec, max_queued=9)
    made = tmp_path / "made" / "checkpoints" / "final"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 2000)
    (tmp_path / "made" / "report.json").write_text("{}")
    publish_run(tmp_path / "made", artefacts, job.id)
    return job.id


@pytest.fixture
def listed(http, job_id) -> dict:
    (item,) = http.get(f"/v1/jobs/{job_id}/checkpoints").json()["items"]
    return item


def test_checkpoints_are_listed_with_their_checksums(http, listed):
    content = http.get(listed["url"]).content
    assert (listed["name"], listed["checkpoint"]) == ("final.tar", "final")
    assert listed["bytes"] == len(content)
    assert listed["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_job_without_checkpoints_lists_none(http, store, spec):
    job, _ = store.submit(spec, max_queued=9)
    assert http.get(f"/v1/jobs/{job.id}/checkpoints").json() == {"items": []}
    response = http.get(f"/v1/jobs/{job.id}/checkpoints/final.tar")
    assert response.status_code == 404
    assert "packed when the job ends" in response.json()["detail"]


def test_the_etag_is_the_checksum_and_spares_a_second_download(http, listed):
    response = http.get(listed["url"])
    assert response.headers["ETag"] == f'"{listed["sha256"]}"'
    again = http.get(listed["url"], headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert http.get(listed["url"], headers={"If-None-Match": '"other"'}).status_code == 200


def test_parts_add_up_to_the_whole(http, listed):
    whole = http.get(listed["url"]).content
    size = len(whole)
    parts = [http.get(listed["url"], headers={"Range": f"bytes={a}"}) for a in ("0-99", "100-299999", "300000-")]
    assert [part.status_code for part in parts] == [206, 206, 206]
    assert [part.headers["Content-Range"] for part in parts] == [
        f"bytes 0-99/{size}",
        f"bytes 100-299999/{size}",
        f"bytes 300000-{size - 1}/{size}",
    ]
    assert b"".join(part.content for part in parts) == whole


def test_a_range_of_another_version_gives_the_whole_file(http, listed):
    headers = {"Range": "bytes=5-", "If-Range": '"other"'}
    assert http.get(listed["url"], headers=headers).status_code == 200
    assert http.get(listed["url"], headers={**headers, "If-Range": f'"{listed["sha256"]}"'}).status_code == 206


def test_a_range_behind_the_end_is_a_problem_that_tells_the_size(http, listed):
    response = http.get(listed["url"], headers={"Range": f"bytes={listed['bytes']}-"})
    assert (response.status_code, response.headers["Content-Type"]) == (416, "application/problem+json")
    assert response.headers["Content-Range"] == f"bytes */{listed['bytes']}"
    assert f"0-{listed['bytes'] - 1}" in response.json()["detail"]


def test_head_tells_size_and_checksum_without_the_content(http, listed):
    response = http.head(listed["url"])
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["Content-Length"]) == listed["bytes"]
    assert response.headers["ETag"] == f'"{listed["sha256"]}"'


@pytest.mark.parametrize("name", ["other.tar", "index.json", "report.json", "..%2Freport.json", "%2e%2e"])
def test_only_listed_files_can_be_downloaded(http, job_id, name):
    response = http.get(f"/v1/jobs/{job_id}/checkpoints/{name}")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_range_of_5000_digits_is_a_range(http, listed):
    response = http.get(listed["url"], headers={"Range": f"bytes={'9' * 5000}-"})
    assert (response.status_code, response.json()["type"]) == (416, "urn:shrinkml:problem:range")


def test_a_file_that_is_no_longer_the_wanted_one_is_not_sent(http, listed):
    response = http.get(listed["url"], headers={"If-Match": '"other"'})
    assert (response.status_code, response.json()["type"]) == (412, "urn:shrinkml:problem:precondition")
    assert http.get(listed["url"], headers={"If-Match": f'"{listed["sha256"]}"'}).status_code == 200


@pytest.mark.parametrize("harm", ["removed", "cut"])
def test_a_tar_that_is_missing_or_cut_is_a_problem_and_no_half_answer(http, listed, job_id, tmp_path, harm):
    content = artefacts_folder(tmp_path) / job_id / "content" / listed["sha256"]
    content.unlink() if harm == "removed" else content.write_bytes(content.read_bytes()[:-1])
    response = http.get(listed["url"])
    assert (response.status_code, response.json()["type"]) == (404, "urn:shrinkml:problem:missing-artefact")
    assert http.head(listed["url"]).status_code == 404
