"""The rule of who may ask for what: all below /v1 wants a good token, a job or an upload its owner's or an admin's.

One of somebody else is answered as one that there is not.
"""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from server.auth.caller import Caller, caller_of
from server.auth.tokens import digest_of
from server.http.dependencies import Services, ServicesDep
from server.jobs.job_moves import unknown
from server.uploads.upload_state import unknown_upload

BEARER = HTTPBearer(
    auto_error=False,  # it would answer with no problem document, and where no token is needed too
    description="A token that `shrinkml token create` made; a server without tokens wants none.",
)


async def digest_given(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> str | None:
    """Return the hash of the secret that the request brings, if it brings one."""
    return None if given is None else digest_of(given.credentials)


DigestDep = Annotated[str | None, Depends(digest_given)]


async def authorized(request: Request, services: ServicesDep, digest: DigestDep) -> Caller:
    """Return who asks, where they may ask for the job or the upload that the path names.

    Raises:
        UnauthenticatedError: without a good token, where one is needed.
        UnknownJobError: there is no such job, or it is somebody else's.
        UnknownUploadError: the same of an upload.
        RateLimitError: too many requests came with the token.
    """
    caller = await admitted(services, digest, request.path_params.get("job_id"), request.path_params.get("upload_id"))
    if digest is not None and caller.owner is not None:
        await services.rates.count(digest)
    return caller


async def admitted(services: Services, digest: str | None, job_id: str | None, upload_id: str | None = None) -> Caller:
    """Return who asks with the token whose secret has the hash `digest`, where they may ask for job and upload now.

    Raises:
        UnauthenticatedError: without a good token, where one is needed.
        UnknownJobError: there is no such job, or it is somebody else's.
        UnknownUploadError: the same of an upload.
    """
    named = (job_id, upload_id)
    return await services.reads.get(("caller", digest, *named), partial(_admitted, services, digest, *named))


def _admitted(services: Services, digest: str | None, job_id: str | None, upload_id: str | None) -> Caller:
    caller = caller_of(services.tokens, digest)
    own = caller.sees_only
    if job_id is not None and own is not None and services.store.owner(job_id) != own:
        raise unknown(job_id)
    if upload_id is not None and own is not None and services.uploads.get(upload_id).owner != own:
        raise unknown_upload(upload_id)
    return caller


CallerDep = Annotated[Caller, Depends(authorized)]
