"""The rule of who may ask for what: everything below /v1 wants a good token, a job its owner's or an admin's.

A job of somebody else is answered as one that there is not.
"""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from server.auth.caller import Caller, caller_of
from server.auth.tokens import digest_of
from server.http.dependencies import Services, ServicesDep
from server.jobs.job_moves import unknown

BEARER = HTTPBearer(
    auto_error=False,  # it would answer with no problem document, and where no token is needed too
    description="A token that `shrinkml token create` made; a server without tokens wants none.",
)


async def authorized(
    request: Request,
    services: ServicesDep,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
) -> Caller:
    """Return who asks, where they may ask for the job that the path names.

    Raises:
        UnauthenticatedError: without a good token, where one is needed.
        UnknownJobError: there is no such job, or it is somebody else's.
    """
    digest = None if given is None else digest_of(given.credentials)
    job_id = request.path_params.get("job_id")
    return await services.reads.get(("caller", digest, job_id), partial(_admitted, services, digest, job_id))


def _admitted(services: Services, digest: str | None, job_id: str | None) -> Caller:
    caller = caller_of(services.tokens, digest)
    own = caller.sees_only
    if job_id is not None and own is not None and services.store.owner(job_id) != own:
        raise unknown(job_id)
    return caller


CallerDep = Annotated[Caller, Depends(authorized)]
