"""The ways of units between matrices: what follows at others from the units that are cut of a layer. Loads no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed, LayerSpec


class Follower(NamedTuple):
    """The matrix whose whole choice follows from that of a layer.

    Attributes:
        name: of the matrix.
        gates: rows of the layer for each unit.
    """

    name: str
    gates: int


@dataclass(frozen=True, slots=True)
class Fed:
    """A matrix with a choice of its own, columns of which others may cut.

    Attributes:
        columns: that it has now.
        present: the choice that it is under.
        feeds: what cuts its columns.
    """

    columns: int
    present: Choice
    feeds: tuple[Feed, ...]

    def n_cut(self, plan: CompressionPlan) -> int:
        """The columns that the choices of `plan` at other layers cut."""
        return sum(feed.n_cut(plan.choice(feed.layer)) for feed in self.feeds)


@dataclass(frozen=True, slots=True)
class Wiring:
    """The ways of units in a model.

    Attributes:
        followers: layer -> what follows it whole.
        fed: matrix -> what cuts its columns.
    """

    followers: Mapping[str, Follower] = field(default_factory=dict)
    fed: Mapping[str, Fed] = field(default_factory=dict)

    def completed(self, plan: CompressionPlan) -> CompressionPlan:
        """The plan with all that follows at other matrices from the choices of `plan`."""
        choices = dict(plan.choices)
        for layer, (follower, gates) in self.followers.items():
            choices[follower] = plan.choice(layer).followed(gates)
        for name, fed in self.fed.items():
            n_cut = fed.n_cut(plan)
            if n_cut or name in choices:
                inputs = fed.columns - n_cut if n_cut else fed.present.inputs
                choices[name] = replace(choices.get(name, fed.present), inputs=inputs)
        return CompressionPlan(choices) if self.followers or self.fed else plan


UNWIRED = Wiring()


def wiring_of(layers: Iterable[LayerSpec], present: CompressionPlan) -> Wiring:
    """The ways of units between `layers` of a model that is under the plan `present`."""
    followers, fed = {}, {}
    for layer in layers:
        if layer.follower is not None:
            followers[layer.name] = Follower(layer.follower, layer.gates)
        if layer.fed_by:
            choice = present.choice(layer.name)
            fed[layer.name] = Fed(choice.inputs or layer.in_features, choice, layer.fed_by)
    return Wiring(followers, fed)
