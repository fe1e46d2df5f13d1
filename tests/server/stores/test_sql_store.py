"""The store in a database: what its transactions hold, and that no lock of the database is what makes it right."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from server.jobs.job_state import Job, JobState
from server.service_errors import (
    ClaimLostError,
    OwnerLimitError,
    QueueFullError,
    TransitionError,
    UnknownJobError,
    UnreadableJobError,
)
from server.stores.schema import JOBS, WORKERS
from server.stores.sql_store import FORGET_S, Seen, SqlJobStore
from shrinkml.events import Event


@pytest.fixture
def store(engine) -> SqlJobStore:
    return SqlJobStore(engine)


def note(i: int) -> Event:
    return Event("epoch", f"n{i}", "search", f"note {i}")


class Meeting(SqlJobStore):
    """A store in which everybody who changes something waits, once, until all have read and nobody has written."""

    def __init__(self, engine: sa.Engine, barrier: threading.Barrier) -> None:
        super().__init__(engine)
        self._barrier = barrier
        self._met = threading.local()

    def _meet(self) -> None:
        if not getattr(self._met, "done", False):
            self._met.done = True
            self._barrier.wait(20)

    def _ticket(self, *room) -> int:
        ticket = super()._ticket(*room)
        self._meet()
        return ticket

    def _see(self, job_id: str) -> Seen:
        seen = super()._see(job_id)
        self._meet()
        return seen


def servers(engine: sa.Engine, n: int) -> list[Meeting]:
    """The stores of `n` servers that meet: in one, submissions wait for each other."""
    barrier = threading.Barrier(n)
    return [Meeting(engine, barrier) for _ in range(n)]


def all_at_once(*calls: Callable[[], object]) -> list[object]:
    def outcome(call):
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def test_of_writers_that_have_read_the_same_state_only_one_changes_it(engine, store, spec):
    store.submit(spec, max_queued=9)
    job = store.claim("w")
    meeting = Meeting(engine, threading.Barrier(4))
    found = all_at_once(*[lambda: meeting.finish(job, JobState.SUCCEEDED)] * 4)
    assert sum(isinstance(one, Job) for one in found) == 1
    assert sum(isinstance(one, ClaimLostError) for one in found) == 3


def test_writers_that_have_read_the_same_log_append_one_after_the_other(engine, store, spec):
    store.submit(spec, max_queued=9)
    job = store.claim("w")
    meeting = Meeting(engine, threading.Barrier(4))
    assert all_at_once(*(lambda i=i: meeting.log(job, note(i)) for i in range(4))) == [None] * 4
    assert [entry.sequence for entry in store.events(job.id)] == [1, 2, 3, 4, 5, 6]


def test_submissions_that_have_seen_the_same_room_do_not_share_it(engine, store, spec):
    found = all_at_once(*(partial(server.submit, spec, max_queued=2) for server in servers(engine, 4)))
    assert sum(isinstance(one, QueueFullError) for one in found) == 2
    assert len(store.page(limit=9)) == 2


def test_submissions_of_one_owner_that_have_seen_the_same_room_do_not_share_it(engine, store, spec):
    room = {"max_queued": 9, "owner": "anna", "max_owned": 2}
    found = all_at_once(*(partial(server.submit, spec, **room) for server in servers(engine, 4)))
    assert sum(isinstance(one, OwnerLimitError) for one in found) == 2
    assert len(store.page(limit=9, owner="anna")) == 2


def test_submissions_that_have_both_found_no_earlier_one_with_their_key_give_one_job(engine, store, spec):
    submissions = (partial(server.submit, spec, max_queued=9, idempotency_key="k") for server in servers(engine, 4))
    found = all_at_once(*submissions)
    assert len({job.id for job, _ in found}) == 1
    assert sorted(created for _, created in found) == [False, False, False, True]
    assert len(store.page(limit=9)) == 1


def test_no_transaction_asks_for_the_write_lock_before_it_writes(sqlite, spec):
    said, store = [], SqlJobStore(sqlite)
    sa.event.listen(sqlite, "before_cursor_execute", lambda _, __, statement, *___: said.append(statement))
    store.submit(spec, max_queued=9)
    job = store.claim("w")
    store.log(job, note(1))
    store.finish(job, JobState.SUCCEEDED)
    assert "BEGIN" in said
    assert not [statement for statement in said if "IMMEDIATE" in statement]


def test_workers_that_have_found_the_same_job_do_not_share_it(engine, store, spec):
    first, second = (store.submit(spec, max_queued=9)[0].id for _ in range(2))
    found = all_at_once(*(partial(server.claim, f"w{n}") for n, server in enumerate(servers(engine, 3))))
    assert {claim.id for claim in found if claim is not None} == {first, second}
    assert found.count(None) == 1


def test_a_write_that_was_decided_before_the_job_was_taken_over_is_not_made(engine, store, spec):
    store.submit(spec, max_queued=9)
    late = store.claim("w")

    class Slow(SqlJobStore):
        """A store whose job is taken over between what it reads and what it writes."""

        def _see(self, job_id: str) -> Seen:
            seen = super()._see(job_id)
            if seen.job.claim == late.claim:
                store.lease_s = -1.0
                assert store.claim("other").claim == late.claim + 1
            return seen

    with pytest.raises(ClaimLostError, match="taken over"):
        Slow(engine).finish(late, JobState.SUCCEEDED)
    assert (store.get(late.id).state, store.get(late.id).worker) == (JobState.RUNNING, "other")


def test_workers_that_were_silent_for_a_day_are_forgotten(engine, store):
    store.beat("old")
    with engine.begin() as db:
        db.execute(sa.update(WORKERS).values(beat_at=WORKERS.c.beat_at - FORGET_S))
    store.beat("new")
    with engine.connect() as db:
        assert db.execute(sa.select(WORKERS.c.id)).scalars().all() == ["new"]


def test_a_second_store_on_the_same_database_sees_the_same_jobs(store, engine, spec):
    job = store.submit(spec, max_queued=9)[0]
    assert SqlJobStore(engine).get(job.id) == job


PROGRAM = """
import sys
from server.jobs.job_state import JobState
from server.service_errors import ClaimLostError, QueueFullError
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from shrinkml.events import Event
from shrinkml.job import JobSpec

url, job_id, spec = sys.argv[1:]
store, spec = SqlJobStore(connect(url)), JobSpec.model_validate_json(spec)
job = store.get(job_id)
print("ready", flush=True)
sys.stdin.readline()
for i in range(25):
    store.log(job, Event("epoch", f"n{i}", "search", f"note {i}"))
try:
    while True:
        store.submit(spec, max_queued=5)
except QueueFullError:
    pass
try:
    store.finish(job, JobState.SUCCEEDED)
    print("ended", flush=True)
except ClaimLostError:
    print("late", flush=True)
"""


def test_processes_at_once_do_no_harm_to_each_other(store, engine, spec):
    store.submit(spec, max_queued=9)
    job = store.claim("w")
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        engine.url.render_as_string(hide_password=False),
        job.id,
        spec.model_dump_json(),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in processes]
    assert sorted(said) == ["ended\n", "late\n", "late\n"]
    entries = store.events(job.id)
    assert [entry.sequence for entry in entries] == list(range(1, 29))
    assert {entry.event.key for entry in entries} == {f"state/{n}" for n in (1, 2, 3)} | {f"n{i}" for i in range(25)}
    assert len(store.page(limit=99, state=JobState.QUEUED)) == 5


@pytest.mark.parametrize("stored", [{"language": "\ud800"}, {"field_of_a_later_version": 1}, {"goal": None}])
def test_a_job_that_cannot_be_read_does_not_spoil_the_list(store, engine, spec, stored):
    first, bad, last = (store.submit(spec, max_queued=9)[0] for _ in range(3))
    with engine.begin() as db:
        db.execute(sa.update(JOBS).where(JOBS.c.id == bad.id).values(spec={**spec.model_dump(mode="json"), **stored}))
    assert [job.id for job in store.page(limit=9)] == [last.id, first.id]
    assert [job.id for job in store.page(limit=2)] == [last.id, first.id], "a page is full"
    assert [job.id for job in store.page(limit=1)] == [last.id]
    with pytest.raises(UnreadableJobError, match=f"job {bad.id} is stored in a way .*; submit it again") as caught:
        store.get(bad.id)
    assert str(caught.value).encode("utf-8")
    assert store.owner(bad.id) is None
    assert [store.claim(f"w{n}") and store.claim(f"w{n}").id for n in range(2)] == [first.id, last.id]
    assert store.claim("w3") is None
    store.delete(bad.id, lambda: None)
    with pytest.raises(UnknownJobError, match="no job"):
        store.get(bad.id)


def test_a_job_that_is_resumed_while_it_is_cleared_stays(store, spec):
    job = store.submit(spec, max_queued=9)[0]
    store.cancel(job.id)
    with pytest.raises(TransitionError, match="was resumed or deleted meanwhile"):
        store.delete(job.id, lambda: store.resume(job.id, max_queued=9))
    assert store.get(job.id).state is JobState.QUEUED
