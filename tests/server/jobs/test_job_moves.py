"""Moves of a job by themselves; how stores make them is tested with the stores."""

import re
from dataclasses import replace

import pytest

from server.jobs.job_moves import (
    after_event,
    cancelled,
    claimed,
    left,
    new_job,
    require_claim,
    require_ended,
    require_own_room,
    require_room,
    require_same,
    resumed,
    state_event,
    unknown,
)
from server.jobs.job_state import Failure, Job, JobState, now
from server.service_errors import (
    ClaimLostError,
    KeyReusedError,
    OwnerLimitError,
    QueueFullError,
    TransitionError,
    UnknownJobError,
)
from shrinkml.events import Event, Progress


def job_in(state: JobState, spec) -> Job:
    return replace(new_job(spec), state=state)


def test_a_new_job_waits_and_has_an_id_of_its_own_that_begins_with_its_name(spec):
    first, second = new_job(spec), new_job(spec)
    assert (first.state, first.attempt, first.starts) == (JobState.QUEUED, 1, 0)
    assert re.fullmatch(r"tiny-[0-9a-f]{8}", first.id)
    assert first.id != second.id
    assert (first.owner, new_job(spec, "anna").owner) == (None, "anna")


@pytest.mark.parametrize(
    ("before", "after"),
    [("queued", "cancelled"), ("running", "cancelling"), ("cancelling", "cancelling"), ("cancelled", "cancelled")],
)
def test_cancelling_ends_what_waits_and_asks_what_runs(spec, before, after):
    assert cancelled(job_in(JobState(before), spec)).state == after


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_job_that_has_ended_is_not_cancelled(spec, state):
    with pytest.raises(TransitionError, match=rf"has ended \({state}\): there is nothing left to cancel"):
        cancelled(job_in(JobState(state), spec))


def test_resuming_a_job_that_waits_changes_nothing(spec):
    job = new_job(spec)
    assert resumed(job) is job


@pytest.mark.parametrize("state", ["running", "cancelling", "succeeded"])
def test_only_a_failed_or_cancelled_job_is_resumed(spec, state):
    with pytest.raises(TransitionError, match=f"is {state}; only a failed or cancelled job can be resumed"):
        resumed(job_in(JobState(state), spec))
    assert resumed(job_in(JobState.FAILED, spec)).attempt == 2


@pytest.mark.parametrize(
    ("before", "after"), [("queued", "running"), ("running", "running"), ("cancelling", "cancelling")]
)
def test_each_claim_is_counted(spec, before, after):
    job = claimed(job_in(JobState(before), spec), "w")
    assert (job.state, job.starts, job.worker, job.claim) == (after, 1, "w", 1)
    again = claimed(job, "other")
    assert (again.starts, again.worker, again.claim, again.history) == (2, "other", 2, job.history)


def test_a_job_that_has_ended_is_nobodys_and_not_taken_up(spec):
    ended = claimed(new_job(spec), "w").moved_to(JobState.SUCCEEDED)
    assert (ended.worker, ended.claim) == (None, 1)
    with pytest.raises(TransitionError, match=r"has ended \(succeeded\): there is nothing to run"):
        claimed(ended, "w")


def test_a_claim_holds_until_the_job_is_left_taken_over_or_ended(spec):
    claim = claimed(new_job(spec), "w")
    require_claim(claim.moved_to(JobState.CANCELLING), claim)
    for lost, why in (
        (left(claim), "running, and nobody's"),
        (claimed(claim, "w"), r"taken over \(claim 2\)"),
        (claim.moved_to(JobState.FAILED), "failed, and nobody's"),
    ):
        with pytest.raises(ClaimLostError, match=rf"no longer this worker's \(claim 1\): it is {why}"):
            require_claim(lost, claim)


def test_an_event_of_a_stage_that_begins_shows_in_the_job_and_forgets_the_starts(spec):
    at = now()
    job = after_event(replace(new_job(spec), starts=2), Event("stage_started", "s", "search", "Searching."), at)
    assert (job.stage.name, job.stage.started_at, job.starts, job.progress) == ("search", at, 0, None)


def test_an_event_without_progress_leaves_the_progress_that_was_told(spec):
    told = Progress(0.5, 1, 2, None)
    job = after_event(replace(new_job(spec), progress=told), Event("epoch", "n", "search", "note"), now())
    assert (job.progress, job.stage) == (told, None)


def test_the_event_of_a_failure_tells_of_it(spec):
    failed = job_in(JobState.RUNNING, spec).moved_to(JobState.FAILED, failure=Failure("plan", "s", "it broke", "mend"))
    event = state_event(failed)
    assert (event.kind, event.key, event.message) == ("state", "state/2", "The job failed: it broke")
    assert event.data == {"state": "failed", "attempt": 1}


def test_a_key_belongs_to_what_it_came_with(spec):
    job = new_job(spec)
    assert require_same(job, spec, "k") is job
    with pytest.raises(KeyReusedError, match=f"'k' belongs to job {job.id}, which is another one; send a new key"):
        require_same(job, spec.model_copy(update={"seed": 1}), "k")


def test_a_queue_has_room_until_it_is_full():
    require_room(1, 2)
    with pytest.raises(QueueFullError, match="2 jobs wait already and the server accepts 2; try again when one has"):
        require_room(2, 2)


def test_an_owner_has_room_up_to_the_limit_and_nobody_always():
    require_own_room("anna", 1, 2)
    require_own_room("anna", 9, None)
    require_own_room(None, 9, 2)
    with pytest.raises(OwnerLimitError, match="2 jobs of anna wait or run already and the token allows 2 at once"):
        require_own_room("anna", 2, 2)


def test_an_unknown_job_is_named_with_the_way_to_the_known_ones():
    error = unknown("nobody")
    assert isinstance(error, UnknownJobError)
    assert str(error).startswith("no job 'nobody'; GET /v1/jobs")


def test_only_a_job_that_has_ended_is_deleted(spec):
    job = new_job(spec)
    for state in JobState:
        if state.ended:
            require_ended(job.id, state)
        else:
            with pytest.raises(TransitionError, match=f"job {job.id} is {state}; cancel it, and delete it when it has"):
                require_ended(job.id, state)


def test_a_worker_that_leaves_gives_its_start_back_and_never_more(spec):
    job = claimed(new_job(spec), "w")
    assert left(job) == replace(job, starts=0, worker=None)
    assert left(left(job)).starts == 0
