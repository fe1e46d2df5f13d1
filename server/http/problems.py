"""Errors over HTTP: RFC 9457 problem documents, every one."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shrinkml.job import printable

MEDIA_TYPE = "application/problem+json"

# The kinds of problems for people; other codes are good enough in words.
TITLES = {
    "archive": "Archive that cannot be used",
    "audio": "Audio that cannot be used",
    "calibration": "Calibration failed",
    "checkpoint": "Not a model",
    "config": "Invalid job",
    "forbidden-path": "Path outside the data folders",
    "forbidden-target": "Address that webhooks may not reach",
    "internal": "Unforeseen error",
    "key-reused": "Idempotency key used before",
    "manifest": "Manifest with problems",
    "missing-artefact": "Not there, or not yet",
    "plan": "No plan fits",
    "range": "Range outside the file",
    "rank": "Rank out of range",
    "stage": "A stage failed",
    "stopped": "Stopped",
    "transition": "Not possible in this state",
    "upload-part": "Part that does not fit",
    "upload-size": "Archive too large",
    "unauthenticated": "Token needed",
}


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    field: str = Field(description="Dotted path of the field.", examples=["goal.compression_ratio"])
    message: str = Field(description="What is wrong with it, and what is allowed.")


class Problem(BaseModel):
    """A problem, and what to do about it (RFC 9457)."""

    type: str = Field(description="Stable name of the kind of problem.", examples=["urn:shrinkml:problem:queue-full"])
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was found here, what is allowed, what to do.")
    instance: str = Field(description="Path of the request.")
    errors: list[FieldProblem] | None = Field(None, description="The wrong fields, where there are some.")


def type_uri(code: str) -> str:
    """Return the stable `type` of the problems called `code`."""
    return f"urn:shrinkml:problem:{code}"


def title_of(code: str) -> str:
    """Return the kind of problem in words: "queue-full" is "Queue full"."""
    return TITLES.get(code, code.replace("-", " ").capitalize())


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the problem called `code` as a response."""
    problem = Problem(
        type=type_uri(code),
        title=title_of(code),
        status=status,
        detail=printable(detail),
        instance=instance,
        errors=errors and list(errors),
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return these problems as FastAPI's `responses`, for the OpenAPI description."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
