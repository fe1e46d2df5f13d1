"""The life of jobs over HTTP, in any order of what users and workers do: what is told is what happened.

References:
    MacIver et al. 2019, Hypothesis: a new approach to property-based testing, doi:10.21105/joss.01891 (stateful tests).
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from server.artefacts.memory_artefacts import MemoryArtefacts
from server.auth.memory_tokens import MemoryTokens
from server.home import clear_job, database_url
from server.http.dependencies import Services, SubmissionRules
from server.jobs.job_state import Failure, Job, JobState
from server.limits import Limits
from server.service_errors import ClaimLostError, UnknownJobError
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.uploads.uploads import uploads_in
from server.webhooks.sql_endpoints import SqlEndpoints
from shrinkml.events import Event
from tests.server.conftest import AbsentWorker

MOST_WAITING = 3
ENDED = ("succeeded", "failed", "cancelled")
AFTER_CANCEL = {"queued": "cancelled", "running": "cancelling", "cancelling": "cancelling", "cancelled": "cancelled"}


@dataclass
class Expected:
    """A job as it must be told."""

    state: str = "queued"
    attempt: int = 1
    states: tuple[str, ...] = ("queued",)
    notes: int = 0

    def become(self, state: str) -> None:
        self.state, self.states = state, (*self.states, state)


class Life(RuleBasedStateMachine):
    """Users over HTTP, a worker at the store, and what both may expect."""

    jobs = Bundle("jobs")
    url: str  # of the server, whose application is `app`
    app: object
    data: Path
    body: dict

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        home = Path(self.folder.name)
        self.engine = connect(database_url(home))
        self.store = SqlJobStore(self.engine)
        self.app.state.services = Services(
            store=self.store,
            artefacts=MemoryArtefacts(),
            uploads=uploads_in(home, self.engine),
            tokens=MemoryTokens(),
            webhooks=SqlEndpoints(self.engine),
            rules=SubmissionRules((self.data,), Limits(jobs_waiting=MOST_WAITING)),
            worker=AbsentWorker(),
            stopping=lambda: False,
            clear_stages=partial(clear_job, home),
        )
        self.http = httpx.Client(base_url=self.url, timeout=120)
        self.expected: dict[str, Expected] = {}
        self.keys: dict[str, str] = {}
        self.submitted: list[str] = []
        self.claims: dict[str, Job] = {}  # those that hold
        self.lost: list[Job] = []

    def teardown(self) -> None:
        self.http.close()
        self.engine.dispose()
        self.folder.cleanup()

    @property
    def waiting(self) -> int:
        return sum(job.state == "queued" for job in self.expected.values())

    @rule(target=jobs, key=st.sampled_from(["a", "b", None]))
    def submit(self, key: str | None):
        headers = {} if key is None else {"Idempotency-Key": key}
        response = self.http.post("/v1/jobs", json=self.body, headers=headers)
        if key in self.keys:
            assert response.json()["id"] == self.keys[key]
        elif self.waiting >= MOST_WAITING:
            assert (response.status_code, response.json()["type"]) == (503, "urn:shrinkml:problem:queue-full")
            return "nobody"
        else:
            assert response.status_code == 202
            job_id = response.json()["id"]
            assert job_id not in self.submitted
            self.submitted.append(job_id)
            self.expected[job_id] = Expected()
            if key is not None:
                self.keys[key] = job_id
        return response.json()["id"]

    @rule(job_id=jobs)
    def cancel(self, job_id: str):
        response = self.http.post(f"/v1/jobs/{job_id}/cancel")
        job = self.expected.get(job_id)
        if job is None:
            assert response.status_code == 404
        elif job.state not in AFTER_CANCEL:
            assert response.status_code == 409
        else:
            if job.state != AFTER_CANCEL[job.state]:
                job.become(AFTER_CANCEL[job.state])
            assert response.json()["state"] == job.state

    @rule(job_id=jobs)
    def resume(self, job_id: str):
        response = self.http.post(f"/v1/jobs/{job_id}/resume")
        job = self.expected.get(job_id)
        if job is None:
            assert response.status_code == 404
        elif job.state == "queued":
            assert response.json()["attempt"] == job.attempt
        elif job.state not in ("failed", "cancelled"):
            assert response.status_code == 409
        elif self.waiting >= MOST_WAITING:
            assert response.status_code == 503
        else:
            job.become("queued")
            job.attempt += 1
            assert response.status_code == 202

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str):
        response = self.http.delete(f"/v1/jobs/{job_id}")
        job = self.expected.get(job_id)
        if job is None:
            assert response.status_code == 404
        elif job.state not in ENDED:
            assert response.status_code == 409
        else:
            assert response.status_code == 204
            del self.expected[job_id]
            self.keys = {key: named for key, named in self.keys.items() if named != job_id}

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def take_up(self, worker: str):
        begun = {job_id for job_id, job in self.expected.items() if job.state in ("running", "cancelling")}
        free = {job_id for job_id in begun if job_id not in self.claims or self.claims[job_id].worker == worker}
        free = free or {job_id for job_id, job in self.expected.items() if job.state == "queued"}
        claim = self.store.claim(worker)
        if not free:
            assert claim is None
            return
        assert claim.id in free
        self.lose(claim.id)
        self.claims[claim.id] = claim
        if self.expected[claim.id].state == "queued":
            self.expected[claim.id].become("running")

    def lose(self, job_id: str) -> None:
        """The worker that has the job, if one has it, has it no more."""
        self.lost += [self.claims.pop(job_id)] if job_id in self.claims else []

    @rule(job_id=jobs)
    def leave(self, job_id: str):
        if job_id in self.claims:
            self.store.leave(self.claims[job_id])
            self.lose(job_id)

    @rule(data=st.data(), end=st.booleans())
    def come_back_late(self, data: st.DataObject, end: bool):
        if self.lost:
            claim = data.draw(st.sampled_from(self.lost))
            late = Event("epoch", "late", "search", "late")
            writes = (partial(self.store.log, claim, late), partial(self.store.finish, claim, JobState.SUCCEEDED))
            with pytest.raises((ClaimLostError, UnknownJobError)):
                writes[end]()

    @rule(job_id=jobs, again=st.booleans())
    def note(self, job_id: str, again: bool):
        job = self.expected.get(job_id)
        if job_id in self.claims and job.state == "running":
            job.notes += not (again and job.notes)
            event = Event("epoch", f"note {job.notes}", "search", "half a character: \ud800")
            self.store.log(self.claims[job_id], event)

    @rule(job_id=jobs, end=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]))
    def finish(self, job_id: str, end: JobState):
        job = self.expected.get(job_id)
        allowed = {"running": ("succeeded", "failed"), "cancelling": ENDED}
        if job_id in self.claims and end in allowed.get(job.state, ()):
            failure = Failure("plan", "search", "no plan \udfff", "less") if end is JobState.FAILED else None
            self.store.finish(self.claims[job_id], end, failure=failure)
            self.lose(job_id)
            job.become(str(end))

    @invariant()
    def the_list_holds_every_job_as_it_is(self):
        items = self.http.get("/v1/jobs?limit=200").json()["items"]
        assert [item["id"] for item in items] == [
            job_id for job_id in reversed(self.submitted) if job_id in self.expected
        ]
        for item in items:
            job = self.expected[item["id"]]
            assert (item["state"], item["attempt"]) == (job.state, job.attempt)
            assert tuple(moved["state"] for moved in item["transitions"]) == job.states
            assert (item["failure"] is not None) == (job.state == "failed")

    @invariant()
    def every_log_is_whole_and_tells_each_thing_once(self):
        for job_id, job in self.expected.items():
            entries = self.http.get(f"/v1/jobs/{job_id}/events?limit=1000").json()["items"]
            assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
            assert [entry["data"]["state"] for entry in entries if entry["kind"] == "state"] == list(job.states)
            assert sum(entry["kind"] == "epoch" for entry in entries) == job.notes


@pytest.mark.parametrize(
    ("examples", "steps"), [pytest.param(4, 15, id="few"), pytest.param(150, 40, id="many", marks=pytest.mark.slow)]
)
def test_whatever_users_and_workers_do_in_whatever_order(server, data_folder, request_body, examples, steps):
    url, app = server
    life = type("ServedLife", (Life,), {"url": url, "app": app, "data": data_folder, "body": request_body})
    run_state_machine_as_test(
        life,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
