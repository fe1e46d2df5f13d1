import json
import logging
import os
import re
import shutil
from dataclasses import replace

import httpx
import pytest

from server.artefacts.artefact_store import POLICY_FILE, ArtefactKind
from server.home import job_folder
from server.http.turnstile import Turnstile
from server.jobs.job_state import Failure, JobState
from shrinkml.events import Event, Progress


def submit(http: httpx.Client, body: dict, **headers: str) -> dict:
    response = http.post("/v1/jobs", json=body, headers=headers)
    assert response.status_code == 202, response.text
    return response.json()


def refusal(http: httpx.Client, body: dict, status: int, code: str) -> str:
    response = http.post("/v1/jobs", json=body)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:shrinkml:problem:{code}"), response.text
    return response.json()["detail"]


def test_submitting_answers_at_once_and_says_where_the_job_is(http, request_body, data_folder):
    response = http.post("/v1/jobs", json=request_body)
    assert response.status_code == 202
    job = http.get(response.headers["Location"]).json()
    assert job == response.json()
    assert (job["state"], job["attempt"], job["failure"]) == ("queued", 1, None)
    assert [moved["state"] for moved in job["transitions"]] == ["queued"]
    assert job["job"]["data"]["dev"] == str(data_folder / "dev.jsonl")
    assert job["job"]["model"] == str(data_folder / "model")


def test_the_same_idempotency_key_gives_the_same_job(http, request_body):
    first = submit(http, request_body, **{"Idempotency-Key": "k"})
    assert submit(http, request_body, **{"Idempotency-Key": "k"})["id"] == first["id"]
    assert submit(http, request_body, **{"Idempotency-Key": "other"})["id"] != first["id"]


def test_a_job_that_came_before_is_not_checked_again(http, request_body, data_folder):
    manifest = data_folder / "fleeting.jsonl"
    manifest.write_text((data_folder / "test.jsonl").read_text())
    body = {**request_body, "data": {"dev": "dev.jsonl", "test": "fleeting.jsonl"}}
    first = submit(http, body, **{"Idempotency-Key": "k"})
    manifest.unlink()
    assert submit(http, body, **{"Idempotency-Key": "k"})["id"] == first["id"]


def test_the_same_idempotency_key_with_another_job_is_a_conflict(http, request_body):
    submit(http, request_body, **{"Idempotency-Key": "k"})
    response = http.post("/v1/jobs", json={**request_body, "seed": 7}, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json()["title"]) == (409, "Idempotency key used before")


def test_a_full_queue_says_when_to_come_back(http, request_body):
    for _ in range(2):
        submit(http, request_body)
    response = http.post("/v1/jobs", json=request_body)
    assert (response.status_code, response.json()["type"]) == (503, "urn:shrinkml:problem:queue-full")
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": {"strategy": "pp0"}}, "no strategy named 'pp0'.*Did you mean 'ppo'"),
        ({"search": {"baselines": ["unifrom"]}}, "no strategy named 'unifrom'.*Did you mean 'uniform'"),
        ({"search": {"reward": "money"}}, "no reward named 'money'; known: "),
        ({"factorizer": "qr"}, "factorizer: no factorizer named 'qr'; known: pca, svd, whitened"),
    ],
)
def test_an_unknown_name_is_refused(http, request_body, change, message):
    detail = refusal(http, {**request_body, **change}, 422, "unknown-name")
    assert re.search(message, detail)


def test_a_model_that_is_no_model_is_refused(http, request_body, data_folder):
    assert "no model" in refusal(http, {**request_body, "model": "nothing"}, 422, "checkpoint")
    (data_folder / "empty").mkdir(exist_ok=True)
    assert "config.json missing" in refusal(http, {**request_body, "model": "empty"}, 422, "checkpoint")


def test_a_manifest_with_errors_is_refused_with_all_of_them(http, request_body, data_folder):
    broken = data_folder / "broken.jsonl"
    broken.write_text('{"audio_filepath": "gone.wav", "duration": 1.0, "text": "on"}\nno json\n')
    detail = refusal(http, {**request_body, "data": {**request_body["data"], "dev": "broken.jsonl"}}, 422, "manifest")
    assert "gone.wav" in detail
    assert "broken.jsonl:2" in detail


def test_a_missing_manifest_is_refused(http, request_body):
    detail = refusal(http, {**request_body, "data": {"dev": "none.jsonl", "test": "test.jsonl"}}, 422, "manifest")
    assert "none.jsonl" in detail


@pytest.mark.parametrize("path", ["/etc/passwd", "../elsewhere.jsonl"])
def test_a_path_outside_the_data_roots_is_refused(http, request_body, path):
    body = {**request_body, "data": {**request_body["data"], "test": path}}
    assert "data.test: " in refusal(http, body, 403, "forbidden-path")
    assert "--data-root" in refusal(http, {**request_body, "model": path}, 403, "forbidden-path")


@pytest.mark.parametrize("field", ["model", "data.dev"])
def test_a_path_that_no_file_can_have_is_refused_by_field(http, request_body, field):
    change = {"model": "a\0b"} if field == "model" else {"data": {"dev": "a\0b", "test": "test.jsonl"}}
    response = http.post("/v1/jobs", json={**request_body, **change})
    assert (response.status_code, [e["field"] for e in response.json()["errors"]]) == (422, [field])


def test_a_name_that_is_too_long_for_the_disk_is_refused(http, request_body, data_folder):
    name = 300 * "a"
    assert "no model" in refusal(http, {**request_body, "model": name}, 422, "checkpoint")
    refusal(http, {**request_body, "data": {"dev": name, "test": "test.jsonl"}}, 422, "manifest")
    line = {"audio_filepath": name, "duration": 1.0, "text": "on"}
    (data_folder / "long.jsonl").write_text(json.dumps(line))
    detail = refusal(http, {**request_body, "data": {"dev": "long.jsonl", "test": "test.jsonl"}}, 422, "manifest")
    assert "long.jsonl:1: cannot open" in detail


def test_a_link_that_leads_out_of_the_data_roots_is_refused(http, request_body, data_folder, tmp_path):
    (tmp_path / "secret.jsonl").write_text("")
    link = data_folder / "link.jsonl"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "secret.jsonl")
    refusal(http, {**request_body, "data": {"dev": "link.jsonl", "test": "test.jsonl"}}, 403, "forbidden-path")


def test_jobs_are_listed_in_pages_that_lead_to_each_other(http, store, spec):
    ids = [store.submit(spec, max_queued=9)[0].id for _ in range(5)]
    path, seen, n_pages = "/v1/jobs?limit=2&state=queued", [], 0
    while path:
        page = http.get(path).json()
        seen += [job["id"] for job in page["items"]]
        path, n_pages = page["next"], n_pages + 1
    assert (seen, n_pages) == (ids[::-1], 3)


def test_a_running_job_shows_stage_and_progress(http, store, request_body):
    job_id = submit(http, request_body)["id"]
    store.claim("w")
    store.log(
        store.get(job_id), Event("stage_started", "search", "search", "Searching.", progress=Progress(0.5, 3, 6, 12.0))
    )
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert job["stage"]["name"] == "search"
    assert job["progress"] == {"fraction": 0.5, "evaluations_done": 3, "evaluations_total": 6, "seconds_left": 12.0}


def test_a_failed_job_carries_a_problem_document(http, store, request_body):
    job_id = submit(http, request_body)["id"]
    store.claim("w")
    store.finish(
        store.get(job_id), JobState.FAILED, failure=Failure("plan", "search-1", "no plan fits", "ask for less")
    )
    failure = http.get(f"/v1/jobs/{job_id}").json()["failure"]
    assert failure == {
        "type": "urn:shrinkml:problem:plan",
        "title": "No plan fits",
        "detail": "no plan fits",
        "code": "plan",
        "stage": "search-1",
        "hint": "ask for less",
    }


def test_cancelling_and_resuming(http, store, request_body):
    job_id = submit(http, request_body)["id"]
    response = http.post(f"/v1/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["state"]) == (202, "cancelled")
    response = http.post(f"/v1/jobs/{job_id}/resume")
    assert (response.status_code, response.json()["state"], response.json()["attempt"]) == (202, "queued", 2)
    store.claim("w")
    assert http.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelling"


def test_a_move_that_the_state_forbids_is_a_conflict(http, store, request_body):
    job_id = submit(http, request_body)["id"]
    store.claim("w")
    response = http.post(f"/v1/jobs/{job_id}/resume")
    assert (response.status_code, response.json()["type"]) == (409, "urn:shrinkml:problem:transition")


def test_of_ones_jobs_the_most_urgent_is_next(http, store, request_body):
    ids = [
        http.post("/v1/jobs", params={"priority": priority}, json=request_body).json()["id"] for priority in (-1, 100)
    ]
    assert [store.claim(f"w{n}").id for n in range(2)] == ids[::-1]
    refused = http.post("/v1/jobs", params={"priority": 101}, json=request_body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "priority")


def test_candidates_are_the_pareto_set_of_what_was_judged(http, store, request_body):
    job_id = submit(http, request_body)["id"]
    store.claim("w")
    for i, (wer, parameters) in enumerate([(0.1, 30), (0.2, 20), (0.3, 25), (0.2, 40)]):
        facts = {"wer": wer, "parameters": parameters, "strategy": "greedy"}
        store.log(store.get(job_id), Event("evaluated", f"e{i}", "search-1", "", facts))
    found = http.get(f"/v1/jobs/{job_id}/candidates").json()
    assert [(c["parameters"], c["wer"]) for c in found["items"]] == [(20, 0.2), (30, 0.1)]
    assert found["items"][0]["data"] == {"strategy": "greedy"}
    assert found["n_judged"] == 4


def test_what_a_search_has_learned_can_be_fetched_once_it_is_there(http, artefacts, request_body):
    job_id = submit(http, request_body)["id"]
    response = http.get(f"/v1/jobs/{job_id}/policy")
    assert response.status_code == 404
    assert "is queued and has no policy; only the strategy dyna leaves one" in response.json()["detail"]
    policy = json.dumps({"moves.bias": [0.5]}).encode()
    artefacts.put(job_id, POLICY_FILE, ArtefactKind.POLICY, lambda stream: stream.write(policy))
    assert http.get(f"/v1/jobs/{job_id}/policy").json() == {"moves.bias": [0.5]}


def test_the_report_comes_as_json_and_as_a_page(http, artefacts, request_body):
    job_id = submit(http, request_body)["id"]
    response = http.get(f"/v1/jobs/{job_id}/report")
    assert response.status_code == 404
    assert "is queued and has no report; wait until it has ended" in response.json()["detail"]
    for name, content in {"report.json": b'{"seconds": 1.5}', "report.html": b"<h1>Report</h1>"}.items():
        artefacts.put(job_id, name, ArtefactKind.REPORT, lambda stream, content=content: stream.write(content))
    assert http.get(f"/v1/jobs/{job_id}/report").json() == {"seconds": 1.5}
    page = http.get(f"/v1/jobs/{job_id}/report?format=html")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text == "<h1>Report</h1>"


def test_a_submission_and_what_happens_to_the_job_are_logged(http, request_body, caplog):
    caplog.set_level(logging.INFO, logger="server")
    job_id = submit(http, request_body, **{"Idempotency-Key": "k"})["id"]
    submit(http, request_body, **{"Idempotency-Key": "k"})
    http.post(f"/v1/jobs/{job_id}/cancel")
    model = http.get(f"/v1/jobs/{job_id}").json()["job"]["model"]
    assert caplog.messages == [
        f"job {job_id} is queued (attempt 1)",
        f"job {job_id} submitted: {model}, 3 times smaller",
        f"job {job_id} is cancelled (attempt 1)",
    ]


def test_a_job_that_has_ended_can_be_deleted_with_everything_that_it_left(http, artefacts, request_body, tmp_path):
    job_id = submit(http, request_body)["id"]
    left = job_folder(tmp_path, job_id) / "stages"
    left.mkdir(parents=True)
    artefacts.put(job_id, "report.json", ArtefactKind.REPORT, lambda stream: stream.write(b"{}"))
    response = http.delete(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.json()["type"]) == (409, "urn:shrinkml:problem:transition")
    http.post(f"/v1/jobs/{job_id}/cancel")
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert http.get(f"/v1/jobs/{job_id}").status_code == http.delete(f"/v1/jobs/{job_id}").status_code == 404
    assert http.get("/v1/jobs").json()["items"] == []
    assert not left.parent.exists()
    assert artefacts.entries(job_id) == ()


def test_so_many_jobs_are_checked_at_once_and_the_next_client_is_told_when_to_come_back(
    http, services, server, request_body
):
    admissions = Turnstile(1)
    server[1].state.services = replace(services, admissions=admissions)
    with admissions.passed("have their jobs checked"):
        response = http.post("/v1/jobs", json=request_body)
        assert (response.status_code, response.json()["type"]) == (503, "urn:shrinkml:problem:busy")
        assert response.headers["Retry-After"] == "1"
        assert "1 others have their jobs checked just now" in response.json()["detail"]
    submit(http, request_body)


def test_a_report_may_run_its_own_scripts_and_neither_load_nor_send_anything(http, artefacts, request_body):
    job_id = submit(http, request_body)["id"]
    artefacts.put(job_id, "report.html", ArtefactKind.REPORT, lambda stream: stream.write(b"<h1>Report</h1>"))
    headers = http.get(f"/v1/jobs/{job_id}/report?format=html").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-scripts allow-downloads;" in policy, "not as a page of this origin"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture
def traps(data_folder, tmp_path):
    """Fields of jobs that lead astray, by what is wrong with them."""
    folder = data_folder / "traps"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "objects.jsonl").write_text("{}\n" * 100_000)
    (folder / "link.jsonl").symlink_to(tmp_path / "secret-name")
    (folder / "texts").write_bytes(b"word\n" * 2_000_000)
    yield {
        "root": {"model": "/"},
        "process": {"model": "/proc/1/exe"},
        "model is a pipe": {"model": "traps/pipe"},
        "manifest is a pipe": {"data": {"dev": "traps/pipe", "test": "test.jsonl"}},
        "policy is a pipe": {"search": {"strategy": "dyna", "policy": "traps/pipe"}},
        "empty objects": {"data": {"dev": "traps/objects.jsonl", "test": "test.jsonl"}},
        "link": {"data": {"dev": "traps/link.jsonl", "test": "test.jsonl"}},
        "texts": {"vocabulary": "auto", "vocabulary_texts": "traps/texts"},
    }
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("trap", "status", "code"),
    [
        ("root", 403, "forbidden-path"),
        ("process", 403, "forbidden-path"),
        ("model is a pipe", 422, "checkpoint"),
        ("manifest is a pipe", 422, "manifest"),
        ("policy is a pipe", 422, "config"),
        ("empty objects", 422, "manifest"),
        ("link", 403, "forbidden-path"),
        ("texts", 422, "config"),
    ],
)
def test_a_job_that_leads_astray_is_refused_in_few_words_that_tell_nothing_of_the_disk(
    http, request_body, traps, trap, status, code
):
    detail = refusal(http, {**request_body, **traps[trap]}, status, code)
    assert len(detail) < 8_000
    assert "secret-name" not in detail
    assert http.get("/v1/jobs").json()["items"] == []
