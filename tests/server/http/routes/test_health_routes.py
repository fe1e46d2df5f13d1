from dataclasses import dataclass, replace

import pytest

from server.http.routes.health_routes import CHECKS, SILENT_S
from server.stores.memory_store import MemoryJobStore


@dataclass(frozen=True)
class Worker:
    pid: int | None = 7
    silent_s: float | None = 0.5
    restarts: int = 0


def checks(response) -> dict[str, str | None]:
    """Name -> why it is not well, of every check; None where it is."""
    found = response.json()["checks"]
    assert all(check["ok"] == (check["why"] is None) for check in found)
    return {check["name"]: check["why"] for check in found}


def test_a_server_that_has_all_it_needs_is_ready(http, services, server):
    server[1].state.services = replace(services, worker=Worker())
    response = http.get("/readyz")
    assert response.status_code == 200
    assert response.json()["ready"] is True
    assert response.json()["worker"] == {"pid": 7, "silent_s": 0.5, "restarts": 0}
    assert checks(response) == dict.fromkeys(CHECKS)


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        (Worker(pid=None, silent_s=None), "the worker is being started again"),
        (Worker(silent_s=None), "the worker is starting"),
        (Worker(silent_s=SILENT_S + 1), "the worker gave no sign of life for 11 s"),
    ],
)
def test_a_server_without_a_live_worker_is_alive_and_not_ready(http, services, server, worker, why):
    server[1].state.services = replace(services, worker=worker)
    response = http.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert checks(response) == {"database": None, "artefacts": None, "worker": why}
    assert (http.get("/healthz").status_code, http.get("/healthz").json()) == (200, {"status": "ok"})


def test_a_server_whose_jobs_run_elsewhere_is_ready_while_a_worker_gives_signs_of_life(http, services, server):
    server[1].state.services = replace(services, worker=None)
    response = http.get("/readyz")
    assert (response.status_code, response.json()["worker"]) == (503, None)
    assert checks(response) == {"database": None, "artefacts": None, "worker": "no worker gives signs of life"}
    services.store.beat("elsewhere")
    assert http.get("/readyz").status_code == 200


def test_a_database_that_does_not_answer_is_told_and_its_error_is_in_the_log(http, services, server, caplog):
    class Broken(MemoryJobStore):
        def page(self, **_: object):
            raise OSError("no answer from 10.0.0.7")

    server[1].state.services = replace(services, store=Broken(), worker=Worker())
    response = http.get("/readyz")
    assert response.status_code == 503
    assert checks(response)["database"] == "the database cannot be used; the log of the server says why"
    assert "10.0.0.7" not in response.text
    assert "the check of the database failed: no answer from 10.0.0.7" in caplog.text


def test_an_artefact_store_that_can_keep_nothing_is_told(http, services, server, tmp_path):
    (tmp_path / "artefacts").write_text("a file where the folder should be")
    server[1].state.services = replace(services, worker=Worker())
    response = http.get("/readyz")
    assert response.status_code == 503
    assert checks(response)["artefacts"] == "the artefacts cannot be used; the log of the server says why"
