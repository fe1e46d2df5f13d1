"""What a plan costs: parameters and multiply-accumulates (1 MAC = 2 FLOPs)."""

from dataclasses import dataclass

from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec


@dataclass(frozen=True, slots=True)
class ModelCost:
    """The price list of one model.

    Attributes:
        layers: its factorizable matrices.
        other_parameters: everything else (biases, norms, what is left alone), the same under every plan.
    """

    layers: tuple[LayerSpec, ...]
    other_parameters: int

    def __post_init__(self) -> None:
        if not self.layers:
            raise PlanError("no factorizable layer: a model needs at least one Linear, Conv1d, Embedding, LSTM or GRU")

    @property
    def dense_parameters(self) -> int:
        """Parameters of the model with every layer dense."""
        return self.parameters(CompressionPlan())

    def parameters(self, plan: CompressionPlan) -> int:
        """Parameters of the whole model under `plan`.

        Raises:
            PlanError: the plan names a layer that the model does not have.
            RankError: a rank outside its layer's range.
        """
        unknown = set(plan.ranks) - {layer.name for layer in self.layers}
        if unknown:
            raise PlanError(f"the plan names layers that the model lacks: {', '.join(sorted(unknown))}")
        return self.other_parameters + sum(layer.weights_at(plan.choice(layer.name).rank) for layer in self.layers)

    def macs_per_s(self, plan: CompressionPlan) -> float:
        """Multiply-accumulates of the factorizable layers per second of audio (0 where calls were not measured)."""
        return sum(layer.calls_per_s * layer.weights_at(plan.choice(layer.name).rank) for layer in self.layers)

    def compression_ratio(self, plan: CompressionPlan) -> float:
        """Original over compressed parameters: 5.0 is five times smaller."""
        return self.dense_parameters / self.parameters(plan)
