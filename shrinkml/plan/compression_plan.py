"""The plan of a compression: a choice for every matrix of a model that does not stay as it is. Loads no torch."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import DENSE, Choice


@dataclass(frozen=True, slots=True)
class CompressionPlan:
    """Site (name of a matrix) -> choice; a site that is not named stays dense.

    A plan of ranks alone has the digest and the JSON that it always had: an object of site -> rank.
    """

    choices: Mapping[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {site: choice for site, choice in sorted(self.choices.items()) if choice != DENSE}
        object.__setattr__(self, "choices", MappingProxyType(kept))

    @classmethod
    def of_ranks(cls, ranks: Mapping[str, int]) -> "CompressionPlan":
        """The plan that gives each site its rank, and nothing else.

        Raises:
            RankError: a rank that is no positive integer.
        """
        return cls({site: _checked(site, rank) for site, rank in ranks.items()})

    def __iter__(self) -> Iterator[tuple[str, Choice]]:
        return iter(self.choices.items())

    def __hash__(self) -> int:
        return hash(tuple(self.choices.items()))

    def __reduce__(self) -> tuple[type["CompressionPlan"], tuple[dict[str, Choice]]]:
        return CompressionPlan, (dict(self.choices),)

    def choice(self, site: str) -> Choice:
        """The choice at `site`; `DENSE` where none is made."""
        return self.choices.get(site, DENSE)

    @property
    def ranks(self) -> dict[str, int]:
        """Site -> rank, of the sites that are factorized."""
        return {site: choice.rank for site, choice in self if choice.rank is not None}

    @property
    def digest(self) -> str:
        """Sixteen hex digits that two plans share exactly when they are equal."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {site: choice.to_json() for site, choice in self}

    @classmethod
    def from_json(cls, value: Any) -> "CompressionPlan":
        """The plan that `to_json` wrote, of this version or of one that knew ranks alone.

        Raises:
            PlanError: `value` is no JSON object, or a choice is none.
            RankError: a rank is no positive integer.
        """
        if not isinstance(value, Mapping):
            raise PlanError(f"a plan is an object of site -> choice, not {type(value).__name__}")
        return cls({site: _checked(site, choice) for site, choice in value.items()})


def _checked(site: str, value: Any) -> Choice:
    """The choice that the JSON `value` stands for; errors name the site."""
    try:
        return Choice.from_json(value)
    except RankError as error:
        raise RankError(f"layer {site!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {site!r}: {error}") from None
