"""The HTTP application: routes, and every error as a problem document."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

import shrinkml
from server.dashboard import dashboard_routes
from server.http.authorization import authorized
from server.http.body_limit import BodyLimit
from server.http.browser_guard import BrowserGuard
from server.http.dependencies import Services
from server.http.examples import add_examples
from server.http.farewell import Farewell
from server.http.problems import FieldProblem, Problem, documented, problem_response
from server.http.request_ids import HEADER, RequestIds
from server.http.routes import checkpoint_routes, event_routes, health_routes, job_routes, service_routes, upload_routes
from server.jobs.failures import code_of
from server.jobs.job_names import describe_names
from server.limits import DEFAULT_LIMITS, Limits
from server.log_context import REQUEST_ID
from server.metrics import metrics_routes
from server.metrics.job_metrics import JobMetrics
from server.metrics.request_metrics import RequestMetrics
from server.service_errors import (
    BusyError,
    DiskFullError,
    ForbiddenPathError,
    ForbiddenTargetError,
    HomeLostError,
    KeyReusedError,
    MissingArtefactError,
    OwnerLimitError,
    PreconditionError,
    QueueFullError,
    RangeError,
    RateLimitError,
    RequestTimeoutError,
    StoreBusyError,
    TransitionError,
    UnauthenticatedError,
    UnknownJobError,
    UnknownUploadError,
    UnknownWebhookError,
    UnreadableJobError,
    UploadPartError,
    UploadSizeError,
)
from server.webhooks import webhook_routes
from shrinkml.errors import CheckpointError, ConfigError, ManifestError, PlanError, ShrinkError, UnknownNameError
from shrinkml.job import printable

RETRY_AFTER_S = 30  # jobs take minutes
LONGEST_FIELD = 200  # characters of a field's path that are told

log = logging.getLogger(__name__)

HTTP_STATUS: Mapping[type[ShrinkError], int] = {
    UnauthenticatedError: 401,
    ForbiddenPathError: 403,
    ForbiddenTargetError: 403,
    UnknownJobError: 404,
    UnknownUploadError: 404,
    UnknownWebhookError: 404,
    MissingArtefactError: 404,
    RequestTimeoutError: 408,
    KeyReusedError: 409,
    TransitionError: 409,
    UnreadableJobError: 409,
    PreconditionError: 412,
    UploadSizeError: 413,
    RangeError: 416,
    CheckpointError: 422,
    ConfigError: 422,
    ManifestError: 422,
    PlanError: 422,
    UnknownNameError: 422,
    UploadPartError: 422,
    OwnerLimitError: 429,
    RateLimitError: 429,
    BusyError: 503,
    HomeLostError: 503,
    QueueFullError: 503,
    StoreBusyError: 503,
    DiskFullError: 507,
}

# Errors of HTTP itself: what the problem is called, and what to do.
HTTP_PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("malformed-json", "the body is no JSON that can be read: {reason}"),
    404: ("unknown-path", "nothing lies at {path}; GET /openapi.json lists what this server answers"),
    405: ("wrong-method", "{path} does not know {method}; GET /openapi.json lists what it knows"),
}


def create_app(
    services: Services,
    *,
    limits: Limits = DEFAULT_LIMITS,
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
) -> FastAPI:
    """Return the application that answers with `services`.

    Args:
        services: of the application.
        limits: on requests.
        allowed_hosts: names that it answers to, beside those of this machine.
        allowed_origins: of other sites whose pages may ask.
    """
    app = FastAPI(
        title="ShrinkML",
        version=shrinkml.__version__,
        description="Makes trained speech recognisers small. Errors are problem documents (RFC 9457). Where the server "
        "has tokens, all below /v1 wants one (Authorization: Bearer TOKEN), and shows its owner's jobs.",
        responses=documented(403, 421, 422, 500, 503),
        redirect_slashes=False,  # it would lead to whatever host the request names
        docs_url=None,  # FastAPI's own load scripts of others
        redoc_url=None,
    )
    app.state.services = services
    app.state.limits = limits
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Farewell)
    app.add_middleware(BrowserGuard, hosts=allowed_hosts, origins=allowed_origins)
    app.state.metrics = CollectorRegistry()
    app.state.metrics.register(JobMetrics(lambda: app.state.services))
    app.add_middleware(RequestMetrics, registry=app.state.metrics)
    app.add_middleware(RequestIds)
    guarded = (job_routes, event_routes, checkpoint_routes, upload_routes, webhook_routes, metrics_routes)
    for router in (*(module.router for module in guarded), service_routes.facts):
        _include(app, router, dependencies=[Depends(authorized)], responses=documented(401, 429))
    for router in (service_routes.router, health_routes.router, dashboard_routes.router):
        _include(app, router)
    app.add_exception_handler(ShrinkError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(OperationalError, _database_failed)
    app.add_exception_handler(Exception, _unforeseen)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


def _include(app: FastAPI, router: APIRouter, **options: Any) -> None:
    """Answer what `router` does, and HEAD wherever GET is; the server sends no body then."""
    heads = APIRouter(include_in_schema=False)
    for route in router.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            answer = {"response_model": route.response_model, "response_class": route.response_class}
            heads.add_api_route(route.path, route.endpoint, methods=["HEAD"], **answer)
    app.include_router(router, **options)
    app.include_router(heads, **options)


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
        case UnauthenticatedError():
            return {"WWW-Authenticate": "Bearer"}
        case QueueFullError() | OwnerLimitError() | StoreBusyError():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case BusyError():
            return {"Retry-After": "1"}
        case RateLimitError(retry_after_s=seconds):
            return {"Retry-After": str(seconds)}
        case RangeError(size=size):
            return {"Content-Range": f"bytes */{size}"}
        case _:
            return {}


def _invalid(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    if any(e["type"] == "json_invalid" for e in found):
        detail = "the body is no JSON; /docs shows what to send, with an example"
        return _refuse(request, 400, "malformed-json", detail)
    if any(isinstance(e["input"], bytes) for e in found):
        detail = "the body is not marked as JSON; send it with the header Content-Type: application/json"
        return _refuse(request, 422, "invalid-request", detail)
    told = request.app.state.limits.problems_told
    errors = [FieldProblem(field=_dotted(e["loc"]), message=_in_words(e)) for e in found[:told]]
    more = f"; and {len(found) - told} more" if len(found) > told else ""
    detail = "; ".join(f"{e.field}: {e.message}" for e in errors) + more
    return _refuse(request, 422, "invalid-request", detail, errors=errors)


def _in_words(error: Mapping[str, Any]) -> str:
    return printable(f"{error['msg']} (got {error['input']!r:.80})")


def _dotted(location: tuple[str | int, ...]) -> str:
    """Return the path of a field as the sender wrote it: "goal.compression_ratio" in a body, "limit" in a query."""
    return printable(".".join(map(str, location[1:])))[:LONGEST_FIELD] or str(location[0])


def _http_problem(request: Request, error: Exception) -> Response:
    failure = cast(HTTPException, error)
    path = request.url.path
    code, template = HTTP_PROBLEMS.get(failure.status_code, ("http", "{reason}"))
    detail = template.format(path=path, method=request.method, reason=failure.detail)
    return _refuse(request, failure.status_code, code, detail, headers=failure.headers)


def _database_failed(request: Request, error: Exception) -> Response:
    if "full" in str(error) or "disk I/O" in str(error):
        detail = "the disk of the server is full; delete jobs that are no longer needed"
        return _refuse(request, 507, "disk-full", detail)
    if _is_away(cast(OperationalError, error)):
        detail = "the database of the server does not answer; try again"
        return _refuse(request, 503, "database-away", detail, headers={"Retry-After": "1"})
    return _unforeseen(request, error)


def _is_away(error: OperationalError) -> bool:
    """Return True where Postgres was not reached (no state of SQL), or said that it stops or starts (57P01 and on)."""
    state = getattr(error.orig, "sqlstate", "of SQLite")
    return state is None or state.startswith("57P0")


def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("unforeseen error in %s %r", request.method, request.url.path, exc_info=error)
    request_id = REQUEST_ID.get() or ""  # this answer passes by what names the others
    detail = (
        "the server met an error that it did not foresee; trying again may help, and its log holds the details of "
        f"request {request_id}"
    )
    return problem_response(500, "internal", detail, instance=request.url.path, headers={HEADER: request_id})


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with problem documents in place of FastAPI's own errors."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        describe_names(schema["components"]["schemas"])
        schema["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        add_examples(schema["components"]["schemas"])
        app.openapi_schema = schema
    return app.openapi_schema
