import pytest

from server.log_context import JOB_ID, about_job


def test_what_is_logged_is_about_a_job_until_the_block_is_left():
    with about_job("tiny-1"):
        with about_job("tiny-2"):
            assert JOB_ID.get() == "tiny-2"
        assert JOB_ID.get() == "tiny-1"
    assert JOB_ID.get() is None


def test_a_block_that_raises_is_left_as_well():
    with pytest.raises(ZeroDivisionError), about_job("tiny-1"):
        raise ZeroDivisionError
    assert JOB_ID.get() is None
