"""Records as JSON; the keys are what clients rely on."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from server.artefacts.artefact_store import Artefact, ArtefactKind
from server.http.views import Candidates, CheckpointView, EventView, JobView, ModelView, links_of
from server.jobs.candidates import Candidate, ParetoSet
from server.jobs.job_moves import new_job
from server.jobs.job_state import Failure, JobState, Stage
from server.jobs.model_facts import ModelFacts
from shrinkml.events import Event, LoggedEvent, Progress

MOMENT = datetime(2026, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)


def test_a_new_job_shows_its_state_and_its_links(spec):
    job = new_job(spec)
    shown = JobView.of(job).model_dump(mode="json")
    assert set(shown) == {
        "id",
        "owner",
        "state",
        "attempt",
        "stage",
        "progress",
        "failure",
        "transitions",
        "job",
        "links",
    }
    assert (shown["state"], shown["stage"], shown["progress"], shown["failure"]) == ("queued", None, None, None)
    assert shown["links"]["self"] == f"/v1/jobs/{job.id}"
    assert shown["job"]["data"]["dev"] == "/d"
    assert (shown["owner"], JobView.of(new_job(spec, "anna")).owner) == (None, "anna")


def test_a_failed_job_shows_stage_progress_and_a_problem(spec):
    job = replace(new_job(spec), stage=Stage("search", MOMENT), progress=Progress(0.5, 3, 6, None))
    failed = job.moved_to(JobState.RUNNING).moved_to(JobState.FAILED, failure=Failure("plan", "search", "no", "less"))
    shown = JobView.of(failed).model_dump(mode="json")
    assert shown["stage"] == {"name": "search", "started_at": "2026-05-01T12:00:00.123000Z"}
    assert shown["progress"] == {"fraction": 0.5, "evaluations_done": 3, "evaluations_total": 6, "seconds_left": None}
    assert shown["failure"]["type"] == "urn:shrinkml:problem:plan"
    assert [moved["state"] for moved in shown["transitions"]] == ["queued", "running", "failed"]


def test_an_event_is_flat():
    entry = LoggedEvent(3, MOMENT, Event("epoch", "n1", "search", "note", {"i": 1}))
    assert EventView.of(entry).model_dump(mode="json") == {
        "sequence": 3,
        "at": "2026-05-01T12:00:00.123000Z",
        "kind": "epoch",
        "key": "n1",
        "stage": "search",
        "message": "note",
        "data": {"i": 1},
        "progress": None,
    }


def test_a_checkpoint_says_where_it_is_fetched():
    view = CheckpointView.of("job-1", Artefact("final.tar", ArtefactKind.CHECKPOINT, 3, "ab"))
    assert view.model_dump() == {
        "name": "final.tar",
        "checkpoint": "final",
        "bytes": 3,
        "sha256": "ab",
        "url": "/v1/jobs/job-1/checkpoints/final.tar",
    }


def test_candidates_keep_their_order_and_their_facts():
    found = ParetoSet((Candidate("s", 1, 0.5, {"seed": 0}), Candidate("s", 2, 0.25, {})), n_judged=7)
    assert Candidates.of(found).model_dump() == {
        "items": [
            {"stage": "s", "parameters": 1, "wer": 0.5, "data": {"seed": 0}},
            {"stage": "s", "parameters": 2, "wer": 0.25, "data": {}},
        ],
        "n_judged": 7,
    }


def test_a_model_shows_its_facts():
    assert ModelView.of(ModelFacts("m", "las", 12, 48)).model_dump() == {
        "name": "m",
        "family": "las",
        "parameters": 12,
        "bytes": 48,
    }


@pytest.mark.parametrize("part", ["events", "cancel", "resume", "candidates", "report", "policy", "checkpoints"])
def test_every_part_of_a_job_has_a_link(part):
    assert links_of("job-1")[part] == f"/v1/jobs/job-1/{part}"
