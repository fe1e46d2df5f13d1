"""The shapes of recognisers of our own: dataclasses that are checked, written and read in one way."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Self

from shrinkml.errors import ConfigError


class TrainableShape:
    """A base of frozen dataclasses; fields that are tuples are lists in JSON.

    Attributes:
        called: a model of the shape, in messages.
    """

    __slots__ = ()
    called: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The shape as plain JSON values."""
        return {k: _thawed(v) for k, v in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The shape that `to_json` wrote.

        Raises:
            ConfigError: an unknown field or a value out of range.
        """
        tuples = {field.name for field in fields(cls) if isinstance(field.default, tuple)}  # type: ignore[arg-type]
        try:
            return cls(**{k: tuple(map(_frozen, v)) if k in tuples else v for k, v in value.items()})
        except TypeError as error:
            raise ConfigError(f"no {cls.called} has this shape: {error}") from error

    def _refuse_below(self, least: int, names: Iterable[str]) -> None:
        for name in names:
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed: {least} or more")

    def _refuse_reductions(self, reductions: tuple[int, ...], layers: str) -> None:
        if not reductions or not set(reductions) <= {1, 2}:
            raise ConfigError(f"reductions is {list(reductions)}; allowed: a 1 or 2 for each {layers} layer")


def _thawed(value: Any) -> Any:
    """Tuples as lists."""
    return [_thawed(one) for one in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
