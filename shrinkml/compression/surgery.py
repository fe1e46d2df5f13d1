"""New models from old ones: layers factorized by a plan, shaped for a checkpoint, or multiplied out again.

All of these leave their input alone. Only what is not replaced is copied, so that a search can afford a new model for
every plan that it judges.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from shrinkml.compression.factorizers import Decomposition
from shrinkml.compression.sites import Slot, find_slots
from shrinkml.errors import PlanError, RankError
from shrinkml.layers.convolution import LowRankConv1d
from shrinkml.layers.fast_paths import leave_fast_paths_
from shrinkml.layers.gru import LowRankGRU
from shrinkml.layers.gru_cell import LowRankGRUCell
from shrinkml.layers.linear import LowRankEmbedding, LowRankLinear
from shrinkml.layers.lstm import LowRankLSTM
from shrinkml.layers.lstm_cell import LowRankLSTMCell
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.forms import Factors, Matrix, parameter_names, product, rank_of, shape_of

RECURRENT_OPTIONS = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")


def factorize(model: nn.Module, plan: CompressionPlan, decompositions: Mapping[str, Decomposition]) -> nn.Module:
    """A copy of `model` with each layer that `plan` names replaced by its factors of that rank, and its bias shifted.

    Layers that the plan does not name stay as they are, dense or low rank.

    Raises:
        PlanError: the plan names a layer that the model or `decompositions` lacks.
        RankError: a rank outside its layer's range.
    """
    _check_names(plan, decompositions, "decompositions")
    small = _replace(model, plan, lambda layer, rank, _: decompositions[layer].at_rank(rank))
    places = {(slot.module, slot.bias): slot.layer for slot in find_slots(small)}  # a module may stand at several
    with torch.no_grad():
        for (module, bias), layer in places.items():
            rank = plan.choice(layer).rank
            if bias is not None and rank is not None:
                parameter = module.get_parameter(bias)
                parameter.add_(decompositions[layer].shift(rank).to(parameter))  # perhaps to a GPU
    return small


def reshape(model: nn.Module, plan: CompressionPlan) -> nn.Module:
    """A copy of `model` with zeros in place of each layer that `plan` names: the shapes that a checkpoint fills.

    Raises:
        PlanError: the plan names a layer that the model lacks.
        RankError: a rank outside its layer's range.
    """

    def zeros(layer: str, rank: int, matrix: Matrix) -> Factors:
        n_out, n_in = shape_of(matrix)
        if rank > min(n_out, n_in):
            raise RankError(f"rank {rank} for layer {layer!r}; allowed: 1 to {min(n_out, n_in)}")
        return Factors(torch.zeros(n_out, rank), torch.zeros(rank, n_in))

    return _replace(model, plan, zeros)


def merge(model: nn.Module) -> nn.Module:
    """A copy of `model` with every low-rank layer dense again: torch's own layers with the products as weights."""
    with torch.no_grad():
        dense = {slot.layer: product(slot.matrix) for slot in find_slots(model) if rank_of(slot.matrix) is not None}
    return _with_matrices(model, dense)


def _replace(model: nn.Module, plan: CompressionPlan, factors: Callable[[str, int, Matrix], Factors]) -> nn.Module:
    matrices = {slot.layer: slot.matrix for slot in find_slots(model)}
    _check_names(plan, matrices, "model")
    return _with_matrices(model, {layer: factors(layer, rank, matrices[layer]) for layer, rank in plan.ranks.items()})


def _check_names(plan: CompressionPlan, known: Mapping[str, object], owner: str) -> None:
    unknown = [layer for layer, _ in plan if layer not in known]
    if unknown:
        raise PlanError(f"no layer {', '.join(map(repr, unknown))} in the {owner}; known: {', '.join(known)}")


def _with_matrices(model: nn.Module, matrices: Mapping[str, Matrix]) -> nn.Module:
    """A copy of `model` that holds `matrices` (layer name -> matrix) instead of its own; tied layers stay tied."""
    slots: dict[nn.Module, list[Slot]] = {}
    parameters: dict[str, tuple[nn.Parameter, ...]] = {}
    for slot in find_slots(model):
        slots.setdefault(slot.module, []).append(slot)
        if slot.layer in matrices and slot.layer not in parameters:
            parameters[slot.layer] = _as_parameters(matrices[slot.layer], like=slot.matrix)
    memo: dict[int, Any] = {}
    for module, held in slots.items():
        if any(slot.layer in matrices for slot in held):
            ranks = {slot.name: rank_of(matrices.get(slot.layer, slot.matrix)) for slot in held}
            twin = _twin(module, {name: rank for name, rank in ranks.items() if rank is not None})
            new = {slot.name: parameters[slot.layer] for slot in held if slot.layer in parameters}
            memo[id(module)] = _filled(twin, module, new, memo)
    changed = copy.deepcopy(model, memo)
    leave_fast_paths_(changed, LowRankLinear)
    return changed


def _as_parameters(matrix: Matrix, *, like: Matrix) -> tuple[nn.Parameter, ...]:
    """What a module stores for `matrix`, with the dtype, device and trainability of the matrix that it replaces."""
    old = like.up if isinstance(like, Factors) else like
    parts = matrix if isinstance(matrix, Factors) else (matrix,)
    return tuple(nn.Parameter(part.to(old), requires_grad=old.requires_grad) for part in parts)


def _twin(module: nn.Module, ranks: Mapping[str, int]) -> nn.Module:
    """A module like `module` with those ranks, its parameters without storage."""
    with torch.device("meta"):
        return TWINS[type(module)](module, ranks).train(module.training)


def _filled(
    twin: nn.Module, module: nn.Module, new: Mapping[str, tuple[nn.Parameter, ...]], memo: dict[int, Any]
) -> nn.Module:
    """`twin` with the matrices `new`, and copies of the parameters of `module` for all the rest."""
    for matrix, parameters in new.items():
        for name, parameter in zip(parameter_names(matrix, low_rank=len(parameters) == 2), parameters, strict=True):
            # A convolution's dense matrix takes its window apart again; in place, for ties hold the parameter itself.
            parameter.data = parameter.data.view(twin.get_parameter(name).shape)
            setattr(twin, name, parameter)
    for name, parameter in twin.named_parameters():
        if parameter.is_meta:
            setattr(twin, name, copy.deepcopy(module.get_parameter(name), memo))
    return twin


def _linear(module: nn.Linear | LowRankLinear, ranks: Mapping[str, int]) -> nn.Module:
    bias = module.bias is not None
    if ranks:
        return LowRankLinear(module.in_features, module.out_features, ranks["weight"], bias=bias)
    return nn.Linear(module.in_features, module.out_features, bias=bias)


def _conv(module: nn.Conv1d | LowRankConv1d, ranks: Mapping[str, int]) -> nn.Module:
    sizes = {name: getattr(module, name)[0] for name in ("stride", "padding", "dilation")}
    shape = module.in_channels, module.out_channels, module.kernel_size[0]
    bias = module.bias is not None
    if ranks:
        return LowRankConv1d(*shape, ranks["weight"], **sizes, bias=bias)
    return nn.Conv1d(*shape, **sizes, bias=bias)


def _embedding(module: nn.Embedding | LowRankEmbedding, ranks: Mapping[str, int]) -> nn.Module:
    shape = module.num_embeddings, module.embedding_dim
    if ranks:
        return LowRankEmbedding(*shape, ranks["weight"], padding_idx=module.padding_idx)
    return nn.Embedding(*shape, padding_idx=module.padding_idx)


def _lstm(module: nn.LSTM | LowRankLSTM, ranks: Mapping[str, int]) -> nn.Module:
    options = {name: getattr(module, name) for name in RECURRENT_OPTIONS}
    if ranks:
        return LowRankLSTM(module.input_size, module.hidden_size, ranks, **options)
    return nn.LSTM(module.input_size, module.hidden_size, **options)


def _gru(module: nn.GRU | LowRankGRU, ranks: Mapping[str, int]) -> nn.Module:
    options = {name: getattr(module, name) for name in RECURRENT_OPTIONS}
    if ranks:
        return LowRankGRU(module.input_size, module.hidden_size, ranks, **options)
    return nn.GRU(module.input_size, module.hidden_size, **options)


def _lstm_cell(module: nn.LSTMCell | LowRankLSTMCell, ranks: Mapping[str, int]) -> nn.Module:
    if ranks:
        return LowRankLSTMCell(module.input_size, module.hidden_size, ranks, bias=module.bias)
    return nn.LSTMCell(module.input_size, module.hidden_size, bias=module.bias)


def _gru_cell(module: nn.GRUCell | LowRankGRUCell, ranks: Mapping[str, int]) -> nn.Module:
    if ranks:
        return LowRankGRUCell(module.input_size, module.hidden_size, ranks, bias=module.bias)
    return nn.GRUCell(module.input_size, module.hidden_size, bias=module.bias)


TWINS: dict[type[nn.Module], Callable[[Any, Mapping[str, int]], nn.Module]] = {
    nn.Linear: _linear,
    LowRankLinear: _linear,
    nn.Conv1d: _conv,
    LowRankConv1d: _conv,
    nn.Embedding: _embedding,
    LowRankEmbedding: _embedding,
    nn.LSTM: _lstm,
    LowRankLSTM: _lstm,
    nn.GRU: _gru,
    LowRankGRU: _gru,
    nn.LSTMCell: _lstm_cell,
    LowRankLSTMCell: _lstm_cell,
    nn.GRUCell: _gru_cell,
    LowRankGRUCell: _gru_cell,
}
