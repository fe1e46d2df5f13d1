"""The results of stages as JSON: records travel, and result.json is made of them and read into them here."""

from typing import Annotated, Any, TypeVar

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from shrinkml.errors import StageError
from shrinkml.plan.compression_plan import CompressionPlan

R = TypeVar("R")

Plan = Annotated[CompressionPlan, PlainSerializer(CompressionPlan.to_json), PlainValidator(CompressionPlan.from_json)]


def to_json(result: object) -> dict[str, Any]:
    """The fields of the record `result` as plain JSON values."""
    value: dict[str, Any] = _adapter(type(result)).dump_python(result, mode="json")
    return value


def from_json(kind: type[R], value: Any, *, stage: str) -> R:
    """The record of class `kind` that `to_json` wrote; other keys are left aside.

    Args:
        kind: class of the record.
        value: as read.
        stage: that it is of, for errors.

    Raises:
        StageError: `value` lacks a field, or holds one of another type.
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise StageError(
            f"the result of stage {stage} is not one of this version (wrong: {fields}); remove its folder to run it "
            "again, or give the job a new folder"
        ) from error


def _adapter(kind: type[R]) -> TypeAdapter[R]:
    return TypeAdapter(kind)  # made anew each time: a few milliseconds a stage
