"""Commands against a server in this process, with no worker behind its queue."""

import json
import signal
import subprocess
import sys

import pytest
import yaml

from server.jobs.job_state import Failure, JobState
from server.worker.publishing import publish_run
from shrinkml.events import Event, Progress


@pytest.fixture
def config(tmp_path, request_body, data_folder):
    """A job file that lies beside its data."""
    path = data_folder / f"{tmp_path.name}.yaml"
    path.write_text(yaml.safe_dump(request_body))
    return path


@pytest.fixture
def job_id(shrinkml, config, url, monkeypatch) -> str:
    """A queued job, submitted from the command line to the server that the environment names."""
    monkeypatch.setenv("SHRINKML_URL", url)
    code, out, _ = shrinkml("submit", config)
    assert code == 0
    return out.strip()


def test_submit_prints_the_id_and_nothing_else(job_id, store):
    assert store.get(job_id).state is JobState.QUEUED


def test_submit_as_json_prints_the_job(shrinkml, config, url):
    job = json.loads(shrinkml("submit", config, "--url", url, "--json").out)
    assert job["state"] == "queued"


def test_a_refused_job_tells_the_servers_problem(shrinkml, config, url, request_body):
    config.write_text(yaml.safe_dump({**request_body, "factorizer": "magic"}))
    code, _, err = shrinkml("submit", config, "--url", url)
    assert code == 1
    assert err.startswith("error: Unknown name: factorizer: no factorizer named 'magic'")


def test_status_lists_the_jobs(shrinkml, job_id):
    out = shrinkml("status").out
    assert out.splitlines()[0].split()[:2] == ["job", "state"]
    assert out.splitlines()[1].split()[:2] == [job_id, "queued"]
    assert [job["id"] for job in json.loads(shrinkml("status", "--json").out)] == [job_id]


def test_status_shows_one_job_with_its_progress(shrinkml, job_id, store):
    progress = Progress(0.25, 3, 12, 75.0)
    store.log(store.claim("w"), Event("stage_started", "s", "search-3x", "", progress=progress))
    shown = dict(line.split(maxsplit=1) for line in shrinkml("status", job_id).out.splitlines() if line.strip())
    assert shown["state"].strip() == "running"
    assert shown["stage"].strip() == "search-3x"
    assert shown["done"].strip() == "25%"
    assert shown["plans"].strip() == "3 of 12"
    assert shown["time"].strip() == "left  1:15"
    assert json.loads(shrinkml("status", job_id, "--json").out)["progress"]["evaluations_done"] == 3


def test_status_names_the_owner_of_a_job_that_has_one(shrinkml, job_id, store, spec):
    assert "owner" not in shrinkml("status", job_id).out
    owned, _ = store.submit(spec, max_queued=9, owner="anna")
    assert "owner  anna" in shrinkml("status", owned.id).out


def test_status_of_a_failed_job_says_what_to_do(shrinkml, job_id, store):
    failure = Failure("plan", "search", "no plan fits", "Ask for less.")
    store.finish(store.claim("w"), JobState.FAILED, failure=failure)
    out = shrinkml("status", job_id).out
    assert "no plan fits" in out
    assert "Ask for less." in out


def test_an_unknown_job_is_an_error(shrinkml, job_id):
    code, _, err = shrinkml("status", "nobody")
    assert (code, err.startswith("error: Unknown job: no job 'nobody'")) == (1, True)


def test_events_prints_what_has_happened(shrinkml, job_id, store):
    store.claim("w")
    assert [line.split()[0] for line in shrinkml("events", job_id).out.splitlines()] == ["1", "2"]
    lines = shrinkml("events", job_id, "--after", 1, "--json").out.splitlines()
    assert [json.loads(line)["data"]["state"] for line in lines] == ["running"]


def test_events_are_written_for_tensorboard_and_optuna_too(shrinkml, job_id, store, tmp_path):
    facts = {"wer": 0.25, "parameters": 8, "heard": 1.0}
    store.log(store.claim("w"), Event("evaluated", "tpe/0/1", "search-3x", "a plan", facts))
    board, study = tmp_path / "board", tmp_path / "plans.log"
    out = shrinkml("events", job_id, "--tensorboard", board, "--study", study).out
    assert [line.split()[0] for line in out.splitlines()] == ["1", "2", "3"]
    assert b"search-3x/evaluated/wer" in b"".join(path.read_bytes() for path in board.iterdir())
    assert f"{job_id}/search-3x" in study.read_text()


def test_following_the_events_ends_with_the_job(shrinkml, job_id, store):
    store.cancel(job_id)
    out = shrinkml("events", job_id, "--follow").out
    assert out.splitlines()[-1].endswith("The job is cancelled.")


@pytest.mark.parametrize("arguments", [["events", "JOB", "--follow"], ["submit", "CONFIG", "--wait"]])
def test_ctrl_c_detaches_and_leaves_the_job_alone(arguments, job_id, config, store, url):
    arguments = [{"JOB": job_id, "CONFIG": str(config)}.get(word, word) for word in arguments]
    command = [sys.executable, "-m", "server.cli.main", *arguments, "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline() if "events" in arguments else process.stderr.readline()
        assert first
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Detached; the job goes on. Come back with: shrinkml events" in err
    assert "Traceback" not in err
    assert {job.state for job in store.page(limit=9)} == {JobState.QUEUED}


def test_cancel_and_resume_say_where_the_job_is_now(shrinkml, job_id):
    assert shrinkml("cancel", job_id).out == f"{job_id} is cancelled\n"
    assert shrinkml("resume", job_id).out == f"{job_id} is queued\n"
    assert json.loads(shrinkml("cancel", job_id, "--json").out)["state"] == "cancelled"


def test_download_fetches_the_checkpoints_asked_for(shrinkml, job_id, artefacts, tmp_path):
    for name in ("final", "stage-2x"):
        folder = tmp_path / "made" / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    publish_run(tmp_path / "made", artefacts, job_id)
    out = shrinkml("download", job_id, tmp_path / "small", "--only", "final").out
    assert out == f"{tmp_path / 'small' / 'final'}\n"
    assert len(json.loads(shrinkml("download", job_id, tmp_path / "all", "--json").out)) == 2


def test_download_of_a_job_without_checkpoints_is_an_error(shrinkml, job_id, tmp_path):
    code, _, err = shrinkml("download", job_id, tmp_path)
    assert (code, "once it has ended" in err) == (1, True)


def test_status_names_the_checkpoints_that_there_are(shrinkml, job_id, artefacts, tmp_path):
    assert "checkpoints" not in shrinkml("status", job_id).out
    (tmp_path / "made" / "checkpoints" / "best-so-far").mkdir(parents=True)
    publish_run(tmp_path / "made", artefacts, job_id)
    out = shrinkml("status", job_id).out
    assert "best-so-far" in out
    assert f"shrinkml download {job_id} FOLDER fetches them" in out
    cancelled = shrinkml("cancel", job_id)
    assert f"`shrinkml status {job_id}` names the checkpoint" in cancelled.err


def test_delete_has_the_server_forget_a_job_that_has_ended(shrinkml, job_id, store):
    code, _, err = shrinkml("delete", job_id)
    assert (code, err) == (1, f"error: Not possible in this state: job {job_id} is queued; cancel it, and delete it "
                              "when it has ended\n")  # fmt: skip
    store.cancel(job_id)
    assert shrinkml("delete", job_id).code == 0
    assert store.page(limit=9) == []
