"""The real pipeline in a worker that times little."""

import sys
from functools import partial
from pathlib import Path

import pytest

from agents.pipeline.job_run import run_job
from server.home import facts
from server.limits import Limits
from server.worker.work import work
from tests.moments import time_moments

if __name__ == "__main__":
    home = Path(sys.argv[1])
    time_moments(pytest.MonkeyPatch())
    work(home, partial(run_job, cache=facts(home)), limits=Limits.model_validate_json(sys.argv[2]))
