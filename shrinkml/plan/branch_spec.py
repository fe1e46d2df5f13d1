"""One residual branch of a model that a plan may drop: its name, what it is made of, and its cost. Loads no torch."""

from dataclasses import dataclass

from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost


@dataclass(frozen=True, slots=True)
class BranchSpec:
    """A part of a model whose output is added to what it was computed from: without it, nothing is added.

    Attributes:
        name: dotted path of the module whose output is added.
        dropped: the choice that leaves it out.
        layers: names of the matrices in it, and nowhere else.
        own: cost of all else in it (biases, norms).
    """

    name: str
    dropped: Choice
    layers: tuple[str, ...]
    own: Cost
