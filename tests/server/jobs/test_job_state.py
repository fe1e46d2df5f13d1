import itertools

import pytest

from server.jobs.job_state import TRANSITIONS, Failure, Job, JobState, Transition, now
from server.service_errors import TransitionError


def job_in(state: JobState, spec) -> Job:
    return Job("tiny-1", 1, spec, state, attempt=1, starts=3, history=(Transition(state, now()),))


@pytest.mark.parametrize(("start", "end"), list(itertools.product(JobState, JobState)))
def test_a_job_moves_only_along_the_table_of_transitions(start, end, spec):
    job = job_in(start, spec)
    if end in TRANSITIONS[start]:
        assert job.moved_to(end).state is end
    else:
        with pytest.raises(TransitionError, match=f"is {start} and cannot become {end}"):
            job.moved_to(end)


def test_every_move_is_kept_with_its_time(spec):
    job = job_in(JobState.QUEUED, spec).moved_to(JobState.RUNNING).moved_to(JobState.SUCCEEDED)
    assert [moved.state for moved in job.history] == ["queued", "running", "succeeded"]
    times = [moved.at for moved in job.history]
    assert times == sorted(times)
    assert all(at.utcoffset().total_seconds() == 0 for at in times)


def test_resuming_counts_a_new_attempt_and_forgets_the_failure(spec):
    failure = Failure("stage", "search", "it broke", "mend it")
    failed = job_in(JobState.RUNNING, spec).moved_to(JobState.FAILED, failure=failure)
    assert failed.failure == failure
    resumed = failed.moved_to(JobState.QUEUED)
    assert (resumed.attempt, resumed.starts, resumed.failure) == (2, 0, None)


@pytest.mark.parametrize("state", JobState)
def test_a_state_has_ended_exactly_when_only_resuming_leads_out_of_it(state):
    assert state.ended == (TRANSITIONS[state] <= {JobState.QUEUED})
