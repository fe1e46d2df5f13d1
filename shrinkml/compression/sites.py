"""Where a model holds matrices that can be factorized, what they cost, and which of them are low rank already."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from shrinkml.layers.convolution import LowRankConv1d
from shrinkml.layers.gru import LowRankGRU
from shrinkml.layers.gru_cell import LowRankGRUCell
from shrinkml.layers.linear import LowRankEmbedding, LowRankLinear
from shrinkml.layers.lstm import LowRankLSTM
from shrinkml.layers.lstm_cell import LowRankLSTMCell
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.layer_spec import LayerKind, LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.weights.forms import Matrix, get_matrix, get_parameters, rank_of, shape_of

Holdings = Iterator[tuple[str, LayerKind]]  # the matrices of one module: name in the module, and kind


@dataclass(frozen=True, slots=True)
class Slot:
    """One place where a module holds a factorizable matrix.

    Attributes:
        layer: name of the layer: dotted path of its (first) dense weight in the model's state.
        kind: where the matrix stands.
        path: dotted path of the module ("" for the model itself).
        module: the module.
        name: the matrix in its module ("weight_ih_l0").
    """

    layer: str
    kind: LayerKind
    path: str
    module: nn.Module
    name: str

    @property
    def matrix(self) -> Matrix:
        """The matrix, in the form in which the module holds it."""
        return get_matrix(self.module, self.name)

    @property
    def bias(self) -> str | None:
        """The name in its module of what is added to the products with the matrix alone; None where nothing is."""
        name = self.name.replace("weight", "bias", 1)
        return name if isinstance(getattr(self.module, name, None), nn.Parameter) else None

    def spec(self, calls_per_s: float = 0.0) -> LayerSpec:
        """The layer's record, with its dense shape."""
        bits = 8 * get_parameters(self.module, self.name)[0].element_size()
        return LayerSpec(self.layer, self.kind, *shape_of(self.matrix), calls_per_s, bits)


def find_slots(model: nn.Module) -> list[Slot]:
    """Every place that holds a factorizable matrix, in the order in which the modules are registered.

    Places that share one matrix (tied weights) carry the same layer name. Left out are subclasses of torch's layers,
    whose owners may read the weight on their own terms, and weights tied to something that cannot be factorized.
    """
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    found: dict[int, list[Slot]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, kind in HOLDINGS.get(type(module), _nothing)(module):
            same = found.setdefault(id(get_parameters(module, name)[0]), [])
            layer = same[0].layer if same else f"{path}.{name}".lstrip(".")
            same.append(Slot(layer, kind, path, module, name))
    return [slot for identity, same in found.items() if uses[identity] == len(same) for slot in same]


def find_layers(model: nn.Module, calls_per_s: Mapping[str, float] | None = None) -> tuple[LayerSpec, ...]:
    """The factorizable matrices of `model` in the order of its modules, tied ones once, with their dense shapes.

    Args:
        model: any module; low-rank layers count like the dense ones that they replaced.
        calls_per_s: layer name -> products per second of audio, where measured.
    """
    calls = calls_per_s or {}
    return tuple(slot.spec(calls.get(name, 0.0)) for name, slot in _first_slots(model).items())


def current_plan(model: nn.Module) -> CompressionPlan:
    """The ranks at which `model` holds its layers now."""
    ranks = {name: rank_of(slot.matrix) for name, slot in _first_slots(model).items()}
    return CompressionPlan.of_ranks({name: rank for name, rank in ranks.items() if rank is not None})


def model_cost(model: nn.Module, calls_per_s: Mapping[str, float] | None = None) -> ModelCost:
    """The cost of `model` under any plan: its layers, and the cost of the parameters that are in none.

    Raises:
        PlanError: nothing can be factorized.
    """
    layers = find_layers(model, calls_per_s)
    plan = current_plan(model)
    in_layers = sum((layer.cost_at(plan.choice(layer.name)) for layer in layers), NOTHING)
    held = [(parameter.numel(), parameter.nbytes) for parameter in model.parameters()]
    everything = Cost(sum(n for n, _ in held), sum(n_bytes for _, n_bytes in held), in_layers.macs_per_s)
    return ModelCost(layers, everything - in_layers)


def _first_slots(model: nn.Module) -> dict[str, Slot]:
    slots: dict[str, Slot] = {}
    for slot in find_slots(model):
        slots.setdefault(slot.layer, slot)
    return slots


def _nothing(_: nn.Module) -> Holdings:
    yield from ()


def _linear(_: nn.Module) -> Holdings:
    yield "weight", "linear"


def _conv(module: nn.Conv1d | LowRankConv1d) -> Holdings:
    """A convolution is a linear map of its window."""
    if isinstance(module, LowRankConv1d) or (
        module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    ):
        yield "weight", "linear"


def _embedding(module: nn.Embedding | LowRankEmbedding) -> Holdings:
    if isinstance(module, LowRankEmbedding) or (module.max_norm is None and not module.sparse):
        yield "weight", "embedding"


def _recurrent(module: nn.LSTM | LowRankLSTM | nn.GRU | LowRankGRU) -> Holdings:
    if module.proj_size:
        return
    for layer in range(module.num_layers):
        for suffix in (f"l{layer}", f"l{layer}_reverse") if module.bidirectional else (f"l{layer}",):
            yield f"weight_ih_{suffix}", "lstm_input"
            yield f"weight_hh_{suffix}", "lstm_recurrent"


def _cell(_: nn.Module) -> Holdings:
    yield "weight_ih", "lstm_input"
    yield "weight_hh", "lstm_recurrent"


HOLDINGS: dict[type[nn.Module], Callable[[Any], Holdings]] = {
    nn.Linear: _linear,
    LowRankLinear: _linear,
    nn.Conv1d: _conv,
    LowRankConv1d: _conv,
    nn.Embedding: _embedding,
    LowRankEmbedding: _embedding,
    nn.LSTM: _recurrent,
    LowRankLSTM: _recurrent,
    nn.GRU: _recurrent,
    LowRankGRU: _recurrent,
    nn.LSTMCell: _cell,
    LowRankLSTMCell: _cell,
    nn.GRUCell: _cell,
    LowRankGRUCell: _cell,
}
