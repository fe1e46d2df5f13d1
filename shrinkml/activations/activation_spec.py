"""The record of how a model rounds its activations. Loads no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from shrinkml.errors import PlanError

ActivationBits = Literal[8, 6, 4]
ScaleKind = Literal["float", "power_of_two", "multiplier"]

BITS: tuple[int, ...] = get_args(ActivationBits)
SCALE_KINDS: tuple[str, ...] = get_args(ScaleKind)


@dataclass(frozen=True, slots=True)
class ActivationSpec:
    """The rounding of activations.

    Attributes:
        bits: of each whole number that stands for an activation.
        scales: that may be between two neighbouring numbers: any float, a power of two (a shift), or a whole number of
            eight bits times a power of two (a multiplier and a shift).
    """

    bits: ActivationBits = 8
    scales: ScaleKind = "float"

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or self.bits not in BITS:
            raise PlanError(f"activations of {self.bits!r} bits; allowed: {', '.join(map(str, BITS))}")
        if self.scales not in SCALE_KINDS:
            raise PlanError(f"scales of activations {self.scales!r}; allowed: {', '.join(SCALE_KINDS)}")

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "ActivationSpec":
        """The record that `to_json` wrote.

        Raises:
            PlanError: no object of its fields, or a field out of range.
        """
        if not isinstance(value, Mapping) or value.keys() - cls.__dataclass_fields__.keys():
            raise PlanError(f"rounding of activations {value!r}; allowed: an object of bits and scales")
        return cls(**value)
