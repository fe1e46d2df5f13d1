"""The health of the service, for what watches it: alive (/healthz), and ready to do jobs (/readyz).

A process that is not alive is to be started again; one that is alive and not ready mends itself, or waits for somebody.
"""

import logging
from collections.abc import Callable, Mapping

import anyio
from fastapi import APIRouter, Response

from server.http.dependencies import Services, ServicesDep
from server.http.problems import documented
from server.http.views import CheckView, Health, Readiness, WorkerView

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])

SILENT_S = 10.0  # without a sign of life, of which a worker gives one each second

Check = Callable[[Services], str | None]  # returns why a part is not well; None where it is, or it raises


@router.get("/healthz")
async def health(services: ServicesDep) -> Health:
    """The health of the process: 200 while it answers and its home is there. To be asked by what starts it again."""
    return Health()


@router.get("/readyz", responses={503: {**documented(503)[503], "model": Readiness}})
async def readiness(services: ServicesDep, response: Response) -> Readiness:
    """The readiness for jobs: the database and the artefact store answer, and the worker lives. 503 where one does not.

    To be asked by what sends requests here. Jobs can be followed, cancelled and downloaded meanwhile.
    """
    own_thread = anyio.CapacityLimiter(1)  # those of the pool may all be busy
    checks = await anyio.to_thread.run_sync(_checked, services, limiter=own_thread)
    ready = all(check.ok for check in checks)
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks, worker=_own_worker(services))


def _own_worker(services: Services) -> WorkerView | None:
    worker = services.worker
    if worker is None:
        return None
    return WorkerView(pid=worker.pid, silent_s=worker.silent_s, restarts=worker.restarts)


def _checked(services: Services) -> list[CheckView]:
    troubles = {name: _trouble(name, check, services) for name, check in CHECKS.items()}
    return [CheckView(name=name, ok=why is None, why=why) for name, why in troubles.items()]


def _trouble(name: str, check: Check, services: Services) -> str | None:
    try:
        return check(services)
    except Exception as error:  # whatever it is, the service is not ready
        log.warning("the check of the %s failed: %s", name, error)
        return f"the {name} cannot be used; the log of the server says why"


def _database(services: Services) -> None:
    services.store.page(limit=1)


def _artefacts(services: Services) -> None:
    services.artefacts.check()


def _worker(services: Services) -> str | None:
    worker = services.worker
    if worker is None:
        silence_s = services.store.silence_s()
        return "no worker gives signs of life" if silence_s is None or silence_s > SILENT_S else None
    if worker.pid is None:
        return "the worker is being started again"
    silent_s = worker.silent_s
    if silent_s is None:
        return "the worker is starting"
    return f"the worker gave no sign of life for {silent_s:.0f} s" if silent_s > SILENT_S else None


CHECKS: Mapping[str, Check] = {"database": _database, "artefacts": _artefacts, "worker": _worker}
