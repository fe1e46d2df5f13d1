"""The contract of `JobStore`, over every implementation (see conftest.py)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from server.jobs.job_state import Failure, Job, JobState
from server.jobs.tally import Tally
from server.service_errors import (
    ClaimLostError,
    KeyReusedError,
    OwnerLimitError,
    QueueFullError,
    TransitionError,
    UnknownJobError,
)
from server.stores.job_store import JobStore
from shrinkml.events import Event, Progress
from shrinkml.job import JobSpec

LONG_AGO_S = -1.0  # a lease that was over before it began: every worker but the one that asks is silent
FAILURE = Failure("stage", "search", "it broke", "mend it")


def submit(store: JobStore, spec: JobSpec, **options) -> Job:
    return store.submit(spec, **{"max_queued": 10, **options})[0]


def running(store: JobStore, spec: JobSpec) -> Job:
    """A job that a worker has taken up; no other one may wait."""
    submit(store, spec)
    return store.claim("w")


def at_once(*calls) -> list:
    """What the calls return or raise, begun together, a thread each."""
    barrier = threading.Barrier(len(calls))

    def begin(call):
        barrier.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


def evaluated(i: int, **more) -> Event:
    return Event("evaluated", f"search/{i}", "search", f"plan {i}", {"wer": 0.1, "parameters": i}, **more)


def test_a_submitted_job_waits(store, spec):
    job = submit(store, spec)
    assert store.get(job.id) == job
    assert (job.state, job.attempt, job.spec, job.number) == (JobState.QUEUED, 1, spec, 1)


def test_the_same_key_with_the_same_job_gives_the_same_job(store, spec):
    first = submit(store, spec, idempotency_key="k")
    again, created = store.submit(spec, max_queued=10, idempotency_key="k")
    assert (again, created) == (first, False)


def test_the_same_key_with_another_job_is_refused(store, spec):
    submit(store, spec, idempotency_key="k")
    with pytest.raises(KeyReusedError, match=r"'k' belongs to job tiny-.*another one; send a new key"):
        submit(store, spec.model_copy(update={"seed": 1}), idempotency_key="k")


def test_jobs_without_a_key_are_all_different(store, spec):
    assert submit(store, spec).id != submit(store, spec).id


def test_threads_that_submit_one_key_at_once_get_one_job(store, spec):
    barrier = threading.Barrier(4)

    def race(_):
        barrier.wait()
        return submit(store, spec, idempotency_key="k").id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(race, range(4)))) == 1


def test_a_full_queue_refuses_new_and_resumed_jobs_but_not_a_repeated_key(store, spec):
    cancelled = submit(store, spec)
    store.cancel(cancelled.id)
    known = submit(store, spec, max_queued=1, idempotency_key="k")
    with pytest.raises(QueueFullError, match="1 jobs wait already and the server accepts 1"):
        submit(store, spec, max_queued=1)
    with pytest.raises(QueueFullError, match="try again when one has started"):
        store.resume(cancelled.id, max_queued=1)
    assert submit(store, spec, max_queued=1, idempotency_key="k") == known


def test_a_job_that_has_started_no_longer_counts_as_waiting(store, spec):
    submit(store, spec, max_queued=1)
    store.claim("w")
    assert submit(store, spec, max_queued=1).state is JobState.QUEUED


def test_pages_go_from_the_newest_to_the_oldest(store, spec):
    ids = [submit(store, spec).id for _ in range(3)]
    first = store.page(limit=2)
    rest = store.page(limit=2, before=first[-1].number)
    assert [job.id for job in (*first, *rest)] == ids[::-1]


def test_a_page_can_hold_one_state_only(store, spec):
    waiting, cancelled = submit(store, spec), submit(store, spec)
    store.cancel(cancelled.id)
    assert [job.id for job in store.page(limit=9, state=JobState.CANCELLED)] == [cancelled.id]
    assert [job.id for job in store.page(limit=9, state=JobState.QUEUED)] == [waiting.id]


def test_a_job_keeps_its_owner_whatever_becomes_of_it(store, spec):
    job = submit(store, spec, owner="anna")
    assert (job.owner, store.owner(job.id)) == ("anna", "anna")
    job = store.claim("w")
    store.log(job, evaluated(1))
    store.finish(job, JobState.FAILED, failure=FAILURE)
    assert store.resume(job.id, max_queued=9).owner == store.owner(job.id) == "anna"
    assert store.owner(submit(store, spec).id) is None


def test_a_page_can_hold_the_jobs_of_one_owner_only(store, spec):
    ids = [submit(store, spec, owner=owner).id for owner in ("anna", "bert", None, "anna")]
    assert [job.id for job in store.page(limit=9, owner="anna")] == [ids[3], ids[0]]
    assert [job.id for job in store.page(limit=1, owner="anna")] == [ids[3]]
    assert store.page(limit=9, owner="anna", state=JobState.RUNNING) == []
    assert [job.id for job in store.page(limit=9)] == ids[::-1]


def test_a_key_is_its_owners_own(store, spec):
    other = spec.model_copy(update={"seed": 1})
    jobs = {
        owner: submit(store, one, idempotency_key="k", owner=owner)
        for owner, one in (("anna", spec), ("bert", other), (None, spec))
    }
    assert len({job.id for job in jobs.values()}) == 3
    assert store.submitted(other, idempotency_key="k", owner="bert") == jobs["bert"]
    assert store.submitted(spec, idempotency_key="k", owner="carla") is None
    assert store.submit(spec, max_queued=9, idempotency_key="k", owner="anna") == (jobs["anna"], False)
    with pytest.raises(KeyReusedError, match=f"belongs to job {jobs['anna'].id}"):
        store.submitted(other, idempotency_key="k", owner="anna")


def test_an_owner_has_no_more_jobs_at_once_than_allowed(store, spec):
    cancelled = submit(store, spec, owner="anna", max_owned=1)
    store.cancel(cancelled.id)
    submit(store, spec, owner="anna", max_owned=1)
    running = store.claim("w")
    message = "1 jobs of anna wait or run already and the token allows 1 at once; try again when one has ended"
    for ask in (
        lambda: submit(store, spec, owner="anna", max_owned=1),
        lambda: store.check_room(9, owner="anna", max_owned=1),
        lambda: store.resume(cancelled.id, max_queued=9, max_owned=1),
    ):
        with pytest.raises(OwnerLimitError, match=message):
            ask()
    submit(store, spec, owner="bert", max_owned=1)
    for _ in range(2):
        submit(store, spec, max_owned=1)
    store.finish(running, JobState.SUCCEEDED)
    assert store.resume(cancelled.id, max_queued=9, max_owned=1).state is JobState.QUEUED


def test_an_owner_has_no_more_jobs_than_allowed_however_many_come_at_once(store, spec):
    found = at_once(*[lambda: submit(store, spec, owner="anna", max_owned=2)] * 6)
    assert sum(isinstance(one, Job) for one in found) == 2
    assert sum(isinstance(one, OwnerLimitError) for one in found) == 4


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.get("nobody"),
        lambda store: store.state("nobody"),
        lambda store: store.owner("nobody"),
        lambda store: store.cancel("nobody"),
        lambda store: store.resume("nobody", max_queued=1),
    ],
)
def test_an_unknown_job_is_refused(store, ask):
    with pytest.raises(UnknownJobError, match="no job 'nobody'; GET /v1/jobs"):
        ask(store)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, claim: store.holding(claim),
        lambda store, claim: store.leave(claim),
        lambda store, claim: store.finish(claim, JobState.SUCCEEDED),
        lambda store, claim: store.log(claim, evaluated(1)),
    ],
)
def test_a_claim_on_an_unknown_job_is_refused(store, spec, ask):
    claim = replace(running(store, spec), id="nobody")
    with pytest.raises(UnknownJobError, match="no job 'nobody'; GET /v1/jobs"):
        ask(store, claim)


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(store, spec):
    job = submit(store, spec)
    assert store.cancel(job.id).state is JobState.CANCELLED
    assert store.claim("w") is None


def test_a_running_job_is_cancelled_by_its_worker(store, spec):
    job = running(store, spec)
    assert store.cancel(job.id).state is JobState.CANCELLING
    assert store.cancel(job.id).state is JobState.CANCELLING
    assert store.state(job.id) is JobState.CANCELLING
    assert store.finish(job, JobState.CANCELLED).state is JobState.CANCELLED
    assert store.cancel(job.id).state is JobState.CANCELLED


def test_a_job_that_has_ended_cannot_be_cancelled(store, spec):
    job = running(store, spec)
    store.finish(job, JobState.SUCCEEDED)
    with pytest.raises(TransitionError, match=r"has ended \(succeeded\): there is nothing left to cancel"):
        store.cancel(job.id)


def test_a_failed_job_goes_on_as_a_new_attempt(store, spec):
    job = running(store, spec)
    assert store.finish(job, JobState.FAILED, failure=FAILURE).failure == FAILURE
    resumed = store.resume(job.id, max_queued=10)
    assert (resumed.state, resumed.attempt, resumed.failure) == (JobState.QUEUED, 2, None)
    assert store.resume(job.id, max_queued=10) == resumed
    again = store.claim("w")
    assert (again.state, again.attempt, again.claim) == (JobState.RUNNING, 2, 2)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED])
def test_only_a_failed_or_cancelled_job_can_be_resumed(store, spec, state):
    job = running(store, spec)
    if state is JobState.SUCCEEDED:
        store.finish(job, state)
    with pytest.raises(TransitionError, match=f"is {state}; only a failed or cancelled job can be resumed"):
        store.resume(job.id, max_queued=10)


def test_starts_are_counted_until_the_job_tells_something_new(store, spec):
    job = running(store, spec)
    store.log(job, evaluated(1))
    assert [store.claim("w").starts, store.claim("w").starts] == [1, 2]
    store.log(store.get(job.id), evaluated(1))
    assert store.claim("w").starts == 3
    store.log(store.get(job.id), evaluated(2))
    assert store.claim("w").starts == 1


def test_events_are_numbered_without_a_gap_and_repeats_are_dropped(store, spec):
    job = running(store, spec)
    for i in (1, 2, 1, 3, 2, 3):
        store.log(job, evaluated(i))
    entries = store.events(job.id)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.event.key for entry in entries] == ["state/1", "state/2", "search/1", "search/2", "search/3"]
    assert entries[2].event == evaluated(1)


def test_events_of_two_jobs_have_their_own_numbers_and_keys(store, spec):
    for _ in range(2):
        job = running(store, spec)
        store.log(job, evaluated(1))
        assert [entry.sequence for entry in store.events(job.id)] == [1, 2, 3]


def test_events_are_read_in_pages_and_by_kind(store, spec):
    job = running(store, spec)
    for i in range(5):
        store.log(job, evaluated(i))
    assert [entry.sequence for entry in store.events(job.id, after=3, limit=2)] == [4, 5]
    assert len(store.events(job.id, kind="evaluated")) == 5
    assert store.events(job.id, after=7) == []


def test_threads_that_log_at_once_leave_no_gap(store, spec):
    job = running(store, spec)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: store.log(job, evaluated(i)), range(40)))
    assert [entry.sequence for entry in store.events(job.id)] == list(range(1, 43))


def test_every_state_is_an_event(store, spec):
    job = running(store, spec)
    store.finish(job, JobState.FAILED, failure=FAILURE)
    entries = store.events(job.id, kind="state")
    assert [entry.event.data["state"] for entry in entries] == ["queued", "running", "failed"]
    assert "it broke" in entries[-1].event.message


def test_a_job_shows_its_latest_stage_and_progress(store, spec):
    job = running(store, spec)
    store.log(job, Event("stage_started", "search", "search-1", "Searching."))
    store.log(job, evaluated(1, progress=Progress(0.25, 1, 4, 9.0)))
    store.log(job, evaluated(2))
    seen = store.get(job.id)
    assert seen.stage.name == "search-1"
    assert seen.progress == Progress(0.25, 1, 4, 9.0)


def test_a_job_that_told_of_a_stage_fails_in_it(store, spec):
    job = running(store, spec)
    store.log(job, Event("stage_started", "search", "search-1", "Searching."))
    store.finish(job, JobState.FAILED, failure=FAILURE)
    assert store.events(job.id)[-1].event.stage == "search-1"


def test_of_those_that_end_a_job_at_once_one_is_believed(store, spec):
    job = running(store, spec)
    ends = (JobState.SUCCEEDED, JobState.FAILED) * 4
    found = at_once(*(lambda end=end: store.finish(job, end) for end in ends))
    (believed,) = [one for one in found if isinstance(one, Job)]
    assert all(isinstance(one, ClaimLostError) for one in found if one is not believed)
    assert store.get(job.id) == believed
    assert [entry.event.data["state"] for entry in store.events(job.id)] == ["queued", "running", believed.state]


def test_a_job_that_several_resume_at_once_is_queued_once(store, spec):
    job = submit(store, spec)
    store.cancel(job.id)
    found = at_once(*[lambda: store.resume(job.id, max_queued=10)] * 6)
    assert {(one.state, one.attempt) for one in found} == {(JobState.QUEUED, 2)}


def test_a_job_cancelled_at_the_moment_it_starts_is_told_to_its_worker_or_never_starts(store, spec):
    for _ in range(10):
        job = submit(store, spec)
        claim, cancelled = at_once(lambda: store.claim("w"), lambda id=job.id: store.cancel(id))
        if claim is None:
            assert cancelled.state is store.state(job.id) is JobState.CANCELLED
        else:
            assert store.holding(claim) is JobState.CANCELLING
            store.finish(claim, JobState.CANCELLED)
        entries = store.events(job.id)
        assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.event.data["state"] for entry in entries] == [m.state for m in store.get(job.id).history]


def test_of_workers_that_come_at_once_each_gets_another_job(store, spec):
    ids = {submit(store, spec).id for _ in range(4)}
    found = at_once(*(lambda n=n: store.claim(f"w{n}") for n in range(6)))
    claims = [claim for claim in found if claim is not None]
    assert len(claims) == 4
    assert {claim.id for claim in claims} == ids
    assert {(claim.claim, claim.starts) for claim in claims} == {(1, 1)}
    for job_id in ids:
        assert [entry.event.data["state"] for entry in store.events(job_id)] == ["queued", "running"]


def test_of_workers_that_take_over_at_once_one_gets_the_job(store, spec):
    job = running(store, spec)
    store.leave(job)
    found = at_once(*(lambda n=n: store.claim(f"w{n}") for n in range(6)))
    (claim,) = [one for one in found if one is not None]
    assert store.get(job.id) == claim
    assert claim.claim == 2


def test_a_job_whose_worker_gives_signs_of_life_is_nobody_elses(store, spec):
    job = running(store, spec)
    store.beat("w")
    assert store.claim("other") is None
    assert store.holding(job) is JobState.RUNNING


def test_a_worker_that_is_started_again_goes_on_with_its_job(store, spec):
    job, waiting = running(store, spec), submit(store, spec)
    again = store.claim("w")
    assert (again.id, again.claim, again.history) == (job.id, job.claim + 1, job.history)
    assert store.claim("other").id == waiting.id


def test_the_job_of_a_silent_worker_is_taken_over_before_others_are_begun(store, spec):
    job = running(store, spec)
    submit(store, spec)
    store.lease_s = LONG_AGO_S
    taken = store.claim("other")
    assert (taken.id, taken.worker, taken.claim) == (job.id, "other", 2)


def test_a_job_that_was_being_cancelled_when_its_worker_died_is_taken_over_to_be_ended(store, spec):
    job = running(store, spec)
    store.cancel(job.id)
    store.leave(job)
    taken = store.claim("other")
    assert (taken.id, taken.state) == (job.id, JobState.CANCELLING)


@pytest.mark.parametrize(
    "write",
    [
        lambda store, claim: store.holding(claim),
        lambda store, claim: store.leave(claim),
        lambda store, claim: store.finish(claim, JobState.SUCCEEDED),
        lambda store, claim: store.log(claim, evaluated(1)),
    ],
    ids=["holding", "leave", "finish", "log"],
)
@pytest.mark.parametrize("end", ["taken over", "taken up again", "left", "ended"])
def test_a_worker_that_comes_back_late_changes_nothing(store, spec, write, end):
    late = running(store, spec)
    if end == "taken over":
        store.lease_s = LONG_AGO_S
        store.claim("other")
    elif end == "taken up again":
        store.claim("w")
    elif end == "left":
        store.leave(late)
    else:
        store.finish(late, JobState.SUCCEEDED)
    before, log = store.get(late.id), store.events(late.id)
    with pytest.raises(ClaimLostError, match=f"job {late.id} is no longer this worker's"):
        write(store, late)
    assert (store.get(late.id), store.events(late.id)) == (before, log)


def test_of_a_late_worker_and_the_one_that_took_over_only_the_latter_writes_however_they_race(store, spec):
    late = running(store, spec)
    store.lease_s = LONG_AGO_S

    def write_late() -> int:
        for n in range(200):
            try:
                store.log(late, evaluated(n))
            except ClaimLostError:
                return n
        return 200

    def take_over() -> Job:
        taken = store.claim("other")
        store.log(taken, Event("epoch", "taken", "search", "mine now"))
        return taken

    written, taken = at_once(write_late, take_over)
    entries = store.events(late.id)
    assert [entry.event.key for entry in entries[2:]] == [f"search/{n}" for n in range(written)] + ["taken"]
    assert [entry.sequence for entry in entries] == list(range(1, written + 4))
    assert store.get(late.id).claim == taken.claim == 2


def test_users_have_their_turns_however_many_jobs_one_submits(store, spec):
    owners = {submit(store, spec, owner=owner).id: owner for owner in ("anna", "anna", "anna", "bert", "bert", "carla")}
    turns = []
    for _ in owners:
        claim = store.claim("w")
        turns.append(owners[claim.id])
        store.finish(claim, JobState.SUCCEEDED)
    assert turns == ["anna", "bert", "carla", "anna", "bert", "anna"]


def test_who_has_fewer_jobs_that_run_comes_first(store, spec):
    first = submit(store, spec, owner="anna")
    assert store.claim("w1").id == first.id
    later = [submit(store, spec, owner=owner).id for owner in ("anna", "bert", "bert")]
    assert [store.claim(f"w{n}").id for n in (2, 3)] == [later[1], later[0]], "one runs of each"


def test_of_ones_own_jobs_the_urgent_come_first_and_do_not_overtake_those_of_others(store, spec):
    submit(store, spec, owner="bert")
    slow = submit(store, spec, owner="anna")
    urgent = submit(store, spec, owner="anna", priority=5)
    assert [store.claim(f"w{n}").owner for n in (1, 2)] == ["bert", "anna"]
    assert store.get(urgent.id).state is JobState.RUNNING
    assert store.get(slow.id).state is JobState.QUEUED


def test_the_silence_of_workers_is_that_of_the_liveliest(store):
    assert store.silence_s() is None
    for worker in ("w1", "w2", "w1"):
        store.beat(worker)
    assert 0 <= store.silence_s() < 60


def test_the_queue_is_never_longer_than_allowed_however_many_come_at_once(store, spec):
    cancelled = submit(store, spec)
    store.cancel(cancelled.id)
    found = at_once(*[lambda: submit(store, spec, max_queued=3)] * 9, lambda: store.resume(cancelled.id, max_queued=3))
    assert sum(isinstance(one, Job) for one in found) == 3
    assert sum(isinstance(one, QueueFullError) for one in found) == 7
    assert len(store.page(limit=99, state=JobState.QUEUED)) == 3


def test_jobs_submitted_at_once_have_different_numbers(store, spec):
    found = at_once(*[lambda: submit(store, spec)] * 8)
    assert len({job.number for job in found}) == len({job.id for job in found}) == 8
    assert {job.number for job in store.page(limit=9)} == {job.number for job in found}


def test_moves_and_events_at_once_share_one_log_without_a_gap(store, spec):
    job = running(store, spec)
    logs = [lambda i=i: [store.log(job, evaluated(k)) for k in range(i, 40, 2)] for i in (0, 1, 0)]
    assert not any(isinstance(one, Exception) for one in at_once(*logs, lambda: store.cancel(job.id)))
    entries = store.events(job.id)
    assert [entry.sequence for entry in entries] == list(range(1, 44))
    assert {entry.event.key for entry in entries} == {f"state/{n}" for n in (1, 2, 3)} | {
        f"search/{k}" for k in range(40)
    }
    assert store.state(job.id) is JobState.CANCELLING


def test_a_job_that_has_ended_is_deleted_with_its_log_and_its_key_is_free(store, spec):
    kept, job = submit(store, spec), submit(store, spec, idempotency_key="k")
    store.cancel(job.id)
    cleared = []
    store.delete(job.id, lambda: cleared.append(job.id))
    assert cleared == [job.id]
    assert store.page(limit=9) == [kept]
    assert store.events(job.id) == []
    with pytest.raises(UnknownJobError, match="no job"):
        store.get(job.id)
    again = submit(store, spec, idempotency_key="k")
    assert store.page(limit=9) == [again, kept]


def test_a_job_that_waits_or_runs_is_not_deleted(store, spec):
    for job in (running(store, spec), submit(store, spec)):
        with pytest.raises(TransitionError, match=f"job {job.id} is (queued|running); cancel it, and delete it when"):
            store.delete(job.id, lambda: pytest.fail("nothing may be removed"))
        assert store.get(job.id).id == job.id


def test_a_job_whose_files_cannot_be_removed_is_still_there_to_be_deleted_again(store, spec):
    job = submit(store, spec)
    store.cancel(job.id)

    def fail() -> None:
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"):
        store.delete(job.id, fail)
    assert store.get(job.id).id == job.id


def test_a_worker_that_leaves_in_order_takes_its_start_back(store, spec):
    job = running(store, spec)
    again = store.claim("w")
    assert again.starts == 2
    store.leave(again)
    left = store.get(job.id)
    assert (left.starts, left.worker, left.history) == (1, None, job.history)


def test_room_can_be_asked_for_before_work_is_spent_on_a_job(store, spec):
    store.check_room(1)
    submit(store, spec)
    with pytest.raises(QueueFullError, match="1 jobs wait already and the server accepts 1"):
        store.check_room(1)


def test_jobs_are_told_in_figures(store, spec):
    assert store.tally() == Tally()
    store.cancel(submit(store, spec).id)
    busy = running(store, spec)
    first, second = submit(store, spec), submit(store, spec)
    for stage, seconds in (("validate", 1.5), ("search-2x", 3.0), ("search-4x", 4.0)):
        progress = Progress(0.5, evaluations_done=int(seconds))
        event = Event("stage_finished", f"{stage}/finished", stage, "done", {"seconds": seconds}, progress)
        store.log(busy, event)
    store.log(busy, Event("stage_finished", "untimed", "report", "done"))
    store.log(busy, evaluated(1))
    assert store.tally() == Tally(
        jobs={JobState.QUEUED: 2, JobState.RUNNING: 1, JobState.CANCELLED: 1},
        waiting_since=first.history[-1].at,
        evaluations=4,
        stage_seconds={"validate": 1.5, "search": 7.0, "report": 0.0},
    )
    store.cancel(first.id)
    assert store.tally().waiting_since == second.history[-1].at
