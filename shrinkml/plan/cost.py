"""The cost of a matrix, a module or a model: what it takes to keep and to run. Loads no torch."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Cost:
    """Everything that is counted, each for itself: no figure follows from another by a constant. Costs add up.

    Attributes:
        parameters: weights that are stored; zeros that are left out are not counted.
        bytes: of those weights on the disk, with all that it takes to read them (scales, indices).
        macs_per_s: multiply-accumulates per second of audio (1 MAC = 2 FLOPs); 0 where calls were not measured.
    """

    parameters: int
    bytes: int
    macs_per_s: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Both together, figure by figure."""
        return Cost(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def __sub__(self, other: "Cost") -> "Cost":
        """The cost left of this without `other`, figure by figure."""
        return Cost(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))


NOTHING = Cost(0, 0, 0.0)  # to begin a sum with
