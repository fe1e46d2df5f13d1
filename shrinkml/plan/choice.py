"""The choice at one matrix: the rank, bits, sparsity and units that it gets, if it stays. Loads no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from shrinkml.errors import PlanError, RankError

OF_MODULES = frozenset({"removes", "returns"})  # fields that tell how a module is left out
MOST_BITS = 16  # what full checkpoints may store; a choice of more bits would save nothing


@dataclass(frozen=True, slots=True)
class Choice:
    """One matrix after compression. The default leaves it dense, at the precision of its checkpoint.

    Attributes:
        rank: of its two factors; None where it is not factorized.
        bits: of each stored weight; None for those of the checkpoint's dtype.
        sparsity: share of its weights that are zero and not stored, in [0, 1).
        dropped: the matrix, or the module that the choice is about, is left out; then there is nothing else to choose.
        identity: one of the two factors holds an identity block, which takes no weights.
        outputs: rows that are left of it, where units are cut that it computes; None where all are.
        inputs: columns that are left of it, where units are cut that it multiplies; None where all are.
        removes: dotted paths of other modules that are left out with the module that is dropped: what they give goes
            there alone.
        returns: values that a call of the dropped module gives, the first of which counts; None for one as it is.
    """

    rank: int | None = None
    bits: int | None = None
    sparsity: float = 0.0
    dropped: bool = False
    identity: bool = False
    outputs: int | None = None
    inputs: int | None = None
    removes: tuple[str, ...] = ()
    returns: int | None = None

    def __post_init__(self) -> None:
        if self.rank is not None and (not _is_whole(self.rank) or self.rank < 1):
            raise RankError(f"rank {self.rank!r}; allowed: an integer of 1 or more")
        if self.bits is not None and (not _is_whole(self.bits) or not 1 <= self.bits <= MOST_BITS):
            raise PlanError(f"bits {self.bits!r}; allowed: an integer of 1 to {MOST_BITS}")
        if not isinstance(self.sparsity, int | float) or not 0.0 <= self.sparsity < 1.0:
            raise PlanError(f"sparsity {self.sparsity!r}; allowed: a share of at least 0 and below 1")
        for name in ("dropped", "identity"):
            if not isinstance(getattr(self, name), bool):
                raise PlanError(f"{name} {getattr(self, name)!r}; allowed: true or false")
        if self.identity and self.rank is None:
            raise PlanError("identity, and no rank; allowed: a rank, whose factor holds the identity block")
        for name in ("outputs", "inputs"):
            units = getattr(self, name)
            if units is not None and (not _is_whole(units) or units < 1):
                raise PlanError(f"{name} {units!r}; allowed: an integer of 1 or more")
        if self.outputs is not None and (self.rank, self.sparsity) != (None, 0.0):
            raise PlanError("cut units, and a rank or a sparsity; allowed beside cut units: bits")
        changed = {name for name, left in _DEFAULTS.items() if getattr(self, name) != left}
        if self.dropped and changed - {"dropped", *OF_MODULES}:
            raise PlanError(
                "dropped, and a rank, bits, a sparsity or units; allowed: nothing else for what is left out"
            )
        if not self.dropped and changed & OF_MODULES:
            raise PlanError(f"{', '.join(sorted(changed & OF_MODULES))} of what is not dropped; allowed: dropped")
        if not isinstance(self.removes, tuple) or not all(isinstance(path, str) and path for path in self.removes):
            raise PlanError(f"removes {self.removes!r}; allowed: paths of modules")
        if self.returns is not None and (not _is_whole(self.returns) or self.returns < 1):
            raise PlanError(f"returns {self.returns!r}; allowed: an integer of 1 or more")

    @property
    def cuts_units(self) -> bool:
        """True where the matrix is narrower than it was."""
        return self.outputs is not None or self.inputs is not None

    @property
    def directions(self) -> int | None:
        """The directions that are left: its rank, or the units that it computes; None where all are."""
        return self.rank if self.outputs is None else self.outputs

    @property
    def following(self) -> "Choice":
        """The choice at the matrix that multiplies the units which this one computes: as many, in as many bits."""
        return replace(self, outputs=None, inputs=self.outputs)

    def followed(self, gates: int) -> "Choice":
        """The choice at the matrix that follows, of a layer with so many rows for each unit.

        With several, units are those of a recurrent layer, and what follows multiplies its state: it has both their
        rows and their columns.
        """
        return self.following if gates == 1 else replace(self, inputs=self.outputs and self.outputs // gates)

    def to_json(self) -> int | dict[str, Any]:
        """The choice as plain JSON: the bare rank where there is nothing else, otherwise an object."""
        chosen = {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}
        return self.rank if self.rank is not None and len(chosen) == 1 else chosen

    @classmethod
    def from_json(cls, value: Any) -> "Choice":
        """The choice that `to_json` wrote.

        Raises:
            PlanError: neither a rank nor an object of fields that a choice has, or a field out of range.
            RankError: a rank that is no positive integer.
        """
        if not isinstance(value, Mapping):
            return cls(rank=_rank(value))
        if unknown := value.keys() - _DEFAULTS.keys():
            raise PlanError(f"a choice has no {', '.join(sorted(unknown))}; known: {', '.join(_DEFAULTS)}")
        removes = value.get("removes", ())
        return cls(**{**value, "removes": tuple(removes) if isinstance(removes, list) else removes})


_DEFAULTS = {field.name: field.default for field in fields(Choice)}
DENSE = Choice()
DROPPED = Choice(dropped=True)


def _rank(value: Any) -> int:
    if not _is_whole(value):
        raise RankError(f"rank {value!r}; allowed: an integer of 1 or more")
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
