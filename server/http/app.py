"""The HTTP application: routes, and every error as a problem document."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

import shrinkml
from server.http.body_limit import BodyLimit
from server.http.dependencies import Services
from server.http.problems import FieldProblem, Problem, documented, problem_response
from server.http.routes import checkpoint_routes, event_routes, job_routes, service_routes
from server.jobs.failures import code_of
from server.jobs.job_names import describe_names
from server.service_errors import (
    ForbiddenPathError,
    KeyReusedError,
    MissingArtefactError,
    QueueFullError,
    RangeError,
    StoreBusyError,
    TransitionError,
    UnknownJobError,
    UnreadableJobError,
)
from shrinkml.errors import CheckpointError, ConfigError, ManifestError, PlanError, ShrinkError, UnknownNameError
from shrinkml.job import printable

MOST_BODY_BYTES = 1 << 20
RETRY_AFTER_S = 30  # jobs take minutes

log = logging.getLogger(__name__)

HTTP_STATUS: Mapping[type[ShrinkError], int] = {
    ForbiddenPathError: 403,
    UnknownJobError: 404,
    MissingArtefactError: 404,
    KeyReusedError: 409,
    TransitionError: 409,
    UnreadableJobError: 409,
    RangeError: 416,
    CheckpointError: 422,
    ConfigError: 422,
    ManifestError: 422,
    PlanError: 422,
    UnknownNameError: 422,
    QueueFullError: 503,
    StoreBusyError: 503,
}

# Errors of HTTP itself: what the problem is called, and what to do.
HTTP_PROBLEMS: Mapping[int, tuple[str, str]] = {
    404: ("unknown-path", "nothing lies at {path}; GET /openapi.json lists what this server answers"),
    405: ("wrong-method", "{path} does not know {method}; GET /openapi.json lists what it knows"),
}


def create_app(services: Services) -> FastAPI:
    """Return the application that answers with `services`."""
    app = FastAPI(
        title="ShrinkML",
        version=shrinkml.__version__,
        description="Makes trained speech recognisers small. Errors are problem documents (RFC 9457).",
        responses=documented(422, 500),
    )
    app.state.services = services
    app.add_middleware(BodyLimit, most_bytes=MOST_BODY_BYTES)
    for module in (job_routes, event_routes, checkpoint_routes, service_routes):
        app.include_router(module.router)
    app.add_exception_handler(ShrinkError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _unforeseen)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


def _refused(request: Request, error: Exception) -> Response:
    kind = cast(ShrinkError, error).__class__
    if kind not in HTTP_STATUS:
        return _unforeseen(request, error)
    return _refuse(request, HTTP_STATUS[kind], code_of(kind), str(error), headers=_headers(error))


def _refuse(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the problem as a response, and log its kind."""
    log.info("refused %s %r: %s (%d)", request.method, request.url.path, code, status)
    return problem_response(status, code, detail, instance=request.url.path, errors=errors, headers=headers)


def _headers(error: Exception) -> Mapping[str, str]:
    """Return the headers that tell programs of `error` beside the problem document."""
    match error:
        case QueueFullError() | StoreBusyError():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case RangeError(size=size):
            return {"Content-Range": f"bytes */{size}"}
        case _:
            return {}


def _invalid(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    if any(e["type"] == "json_invalid" for e in found):
        detail = 'the body is no JSON; send a job like {"model": ..., "data": ..., "goal": ...}'
        return _refuse(request, 400, "malformed-json", detail)
    if any(isinstance(e["input"], bytes) for e in found):
        detail = "the body is not marked as JSON; send it with the header Content-Type: application/json"
        return _refuse(request, 422, "invalid-request", detail)
    errors = [FieldProblem(field=_dotted(e["loc"]), message=f"{e['msg']} (got {e['input']!r:.80})") for e in found]
    detail = "; ".join(f"{e.field}: {e.message}" for e in errors)
    return _refuse(request, 422, "invalid-request", detail, errors=errors)


def _dotted(location: tuple[str | int, ...]) -> str:
    """Return the path of a field as the sender wrote it: "goal.compression_ratio" in a body, "limit" in a query."""
    return printable(".".join(map(str, location[1:]))) or str(location[0])


def _http_problem(request: Request, error: Exception) -> Response:
    failure = cast(HTTPException, error)
    path = request.url.path
    code, template = HTTP_PROBLEMS.get(failure.status_code, ("http", "{reason}"))
    detail = template.format(path=path, method=request.method, reason=failure.detail)
    return _refuse(request, failure.status_code, code, detail, headers=failure.headers)


def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("unforeseen error in %s %r", request.method, request.url.path, exc_info=error)
    detail = "the server met an error that it did not foresee; its log holds the details, and trying again may help"
    return problem_response(500, "internal", detail, instance=request.url.path)


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with problem documents in place of FastAPI's own errors."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        describe_names(schema["components"]["schemas"])
        schema["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        app.openapi_schema = schema
    return app.openapi_schema
