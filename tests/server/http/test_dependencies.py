import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from server.artefacts.artefact_store import ArtefactKind
from server.home import job_folder
from server.http.dependencies import services as services_of
from server.log_context import JOB_ID
from server.service_errors import HomeLostError


def asked_of(services, **path_params: str) -> SimpleNamespace:
    """A request to an application with `services`."""
    return SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(services=services)), path_params=path_params)


def test_a_request_finds_the_services_of_the_application_that_answers_it(services):
    other = replace(services, artefacts=None)
    assert [asyncio.run(services_of(asked_of(one))) for one in (services, other)] == [services, other]


def test_what_is_logged_for_a_request_is_about_the_job_that_its_path_names(services):
    async def job_of(request) -> str | None:
        await services_of(request)
        return JOB_ID.get()

    assert asyncio.run(job_of(asked_of(services, job_id="tiny-1"))) == "tiny-1"
    assert asyncio.run(job_of(asked_of(services))) is None


def test_a_request_to_a_home_that_is_gone_finds_none(services):
    def gone():
        raise HomeLostError("the folder is gone")

    with pytest.raises(HomeLostError, match="the folder is gone"):
        asyncio.run(services_of(asked_of(replace(services, check_home=gone))))


def test_a_job_is_cleared_of_what_it_left_everywhere(services, tmp_path):
    folder = job_folder(tmp_path, "job-1")
    (folder / "stages").mkdir(parents=True)
    services.artefacts.put("job-1", "report.json", ArtefactKind.REPORT, lambda stream: stream.write(b"{}"))
    services.clear("job-1")
    services.clear("job-1")
    assert not folder.exists()
    assert services.artefacts.entries("job-1") == ()
