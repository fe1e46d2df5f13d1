"""Errors as users hear of them."""

from dataclasses import replace

import pytest

from server.jobs.failures import code_of, failure_of, lost_worker, missed_goal
from server.jobs.job_moves import new_job
from server.jobs.job_state import Stage, now
from shrinkml import errors
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
