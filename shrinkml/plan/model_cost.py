"""The cost of a model under any plan, from the shapes of its matrices."""

from dataclasses import dataclass

from shrinkml.errors import PlanError
from shrinkml.plan.branch_spec import BranchSpec
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec


@dataclass(frozen=True, slots=True)
class ModelCost:
    """The matrices of one model, and everything beside them.

    Attributes:
        layers: its factorizable matrices.
        other: everything else (biases, norms, what is left alone), the same under every plan.
        branches: that a plan may drop, or that are dropped already.
    """

    layers: tuple[LayerSpec, ...]
    other: Cost
    branches: tuple[BranchSpec, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise PlanError("no factorizable layer: a model needs at least one Linear, Conv1d, Embedding, LSTM or GRU")

    @property
    def dense_parameters(self) -> int:
        """Parameters of the model with every layer dense."""
        return self.parameters(CompressionPlan())

    def cost(self, plan: CompressionPlan) -> Cost:
        """The cost of the whole model under `plan`.

        Raises:
            PlanError: the plan names a layer that the model does not have.
            RankError: a rank outside its layer's range.
        """
        known = {*(layer.name for layer in self.layers), *(branch.name for branch in self.branches)}
        unknown = set(plan.choices) - known
        if unknown:
            raise PlanError(f"the plan names layers that the model lacks: {', '.join(sorted(unknown))}")
        whole = [branch for branch in self.branches if not plan.choice(branch.name).dropped]
        gone = {layer for branch in self.branches if branch not in whole for layer in branch.layers}
        kept = (layer.cost_at(plan.choice(layer.name)) for layer in self.layers if layer.name not in gone)
        return sum((*kept, *(branch.own for branch in whole)), self.other)

    @property
    def parents(self) -> dict[str, str]:
        """Layer -> the branch that it lies in, of those that lie in one."""
        return {layer: branch.name for branch in self.branches for layer in branch.layers}

    def parameters(self, plan: CompressionPlan) -> int:
        """Parameters of the whole model under `plan`; refuses what `cost` refuses."""
        return self.cost(plan).parameters

    def macs_per_s(self, plan: CompressionPlan) -> float:
        """Multiply-accumulates of the whole model per second of audio; 0 where calls were not measured."""
        return self.cost(plan).macs_per_s

    def compression_ratio(self, plan: CompressionPlan) -> float:
        """Original over compressed parameters: 5.0 is five times smaller."""
        return self.dense_parameters / self.parameters(plan)
