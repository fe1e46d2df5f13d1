import os
from dataclasses import replace
from datetime import timedelta

import pytest

from server.home import artefacts_folder, job_folder
from server.jobs.job_moves import new_job
from server.jobs.job_state import JobState
from server.limits import Limits
from server.service_errors import DiskLimitError, TimeLimitError
from server.worker.job_limits import bytes_of, watch_limits


@pytest.fixture
def job(spec):
    return new_job(spec).moved_to(JobState.RUNNING)


def since(job, ago: timedelta):
    """The job as if it had begun to run so long ago."""
    *before, running = job.history
    return replace(job, history=(*before, replace(running, at=running.at - ago)))


def test_a_job_may_run_until_its_hours_are_over(job, tmp_path):
    limits = Limits(job_hours=2)
    watch_limits(tmp_path, limits, since(job, timedelta(hours=1.9)))()
    with pytest.raises(TimeLimitError, match="the job ran for 2 hours, the most that this server gives one"):
        watch_limits(tmp_path, limits, since(job, timedelta(hours=2.01)))()


def test_a_resumed_job_has_its_hours_once_more(job, tmp_path):
    cancelled = since(job, timedelta(hours=9)).moved_to(JobState.CANCELLING).moved_to(JobState.CANCELLED)
    again = cancelled.moved_to(JobState.QUEUED).moved_to(JobState.RUNNING)
    watch_limits(tmp_path, Limits(job_hours=2), again)()


def test_a_job_may_take_its_space_and_no_more(job, tmp_path):
    for folder in (job_folder(tmp_path, job.id), artefacts_folder(tmp_path) / job.id):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(os.urandom(1 << 20))
    taken = 2 * bytes_of(job_folder(tmp_path, job.id))
    watch_limits(tmp_path, Limits(job_gb=taken / 1e9), job)()
    with pytest.raises(
        DiskLimitError, match=r"the job's files take 0\.0021 GB, and this server gives 0\.002 GB to one"
    ):
        watch_limits(tmp_path, Limits(job_gb=0.002), job)()


def test_a_folder_that_is_not_there_takes_nothing(tmp_path):
    assert bytes_of(tmp_path / "none") == 0
