"""Errors as users hear of them."""

import errno
from dataclasses import replace

import pytest

from server.jobs.failures import code_of, failure_of, is_disk_full, lost_worker, missed_goal
from server.jobs.job_moves import new_job
from server.jobs.job_state import Stage, now
from server.service_errors import DiskFullError, DiskLimitError, ForbiddenPathError, TimeLimitError
from shrinkml import errors
from shrinkml.errors import LostProcessError, ManifestError, StageError
from shrinkml.report import from_json
from tests.report_example import example


@pytest.fixture
def job(spec):
    return new_job(spec)


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type)])
def test_every_error_has_a_code_in_words_and_a_hint(kind, job):
    assert code_of(kind) == code_of(kind).lower()
    assert failure_of(kind("what"), job).hint


def test_codes_are_the_names_of_the_errors_in_words():
    assert [code_of(k) for k in (errors.UnknownNameError, errors.PlanError)] == ["unknown-name", "plan"]


def test_a_failure_names_the_stage_that_the_job_was_in(job):
    failure = failure_of(errors.ManifestError("line 3"), replace(job, stage=Stage("search", now())))
    assert (failure.code, failure.stage, failure.message) == ("manifest", "search", "line 3")
    assert failure_of(errors.PlanError("none"), job).stage == ""


def test_a_job_that_kills_its_workers_is_told_how_often_it_did(job):
    assert lost_worker(job, 3).message.startswith("3 workers died at the same point of the job")


def test_a_goal_that_was_met_is_no_failure():
    assert missed_goal(from_json(example())) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
        DiskFullError("0.1 GB are free"),
    ],
)
def test_a_full_disk_is_told_as_such_whoever_found_out(spec, error):
    try:
        raise StageError("search failed") from error
    except StageError as told:
        failure = failure_of(told, new_job(spec))
    assert failure.code == failure_of(error, new_job(spec)).code == "disk-full"
    assert failure.hint.startswith("Free space where the server keeps its files")


def test_another_error_is_no_full_disk():
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (LostProcessError("killed"), "lost-process", "Resume the job"),
        (TimeLimitError("too long"), "time-limit", "The best so far can be downloaded"),
        (DiskLimitError("too much"), "disk-limit", "Ask for fewer"),
        (ForbiddenPathError("outside"), "forbidden-path", "Correct the files"),
    ],
)
def test_what_is_no_fault_of_the_model_has_a_code_and_a_hint_of_its_own(spec, error, code, hint):
    failure = failure_of(error, new_job(spec))
    assert failure.code == code
    assert failure.hint.startswith(hint)


def test_half_characters_in_a_message_are_written_out(spec):
    assert failure_of(ManifestError("no \udcff"), new_job(spec)).message == "no \\udcff"
