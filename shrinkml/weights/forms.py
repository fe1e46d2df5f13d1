"""The forms that a weight may take, and how a module holds matrices in them."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional as F

from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.dense import Dense
from shrinkml.weights.form import Form
from shrinkml.weights.identity_block import IdentityBlock
from shrinkml.weights.low_rank import LowRank
from shrinkml.weights.quantized import quantized
from shrinkml.weights.sparse import sparse

PLAIN: dict[str, type[Form]] = {
    "dense": Dense,
    "low_rank": LowRank,
    "identity_block": IdentityBlock,
    "sparse_dense": sparse(Dense),
    "sparse_low_rank": sparse(LowRank),
}
FORMS = {**PLAIN, **{f"quantized_{name}": quantized(form) for name, form in PLAIN.items()}}

LABELS = tuple(dict.fromkeys(label for form in FORMS.values() for label in form.labels))  # of all forms' factors


class Holding(NamedTuple):
    """The way in which a module holds one matrix.

    Attributes:
        form: row of FORMS.
        choice: that the matrix is stored under.
        names: of the parameters in which it is stored.
        shape: rows and columns of the dense matrix, with all of its units.
    """

    form: type[Form]
    choice: Choice
    names: tuple[str, ...]
    shape: tuple[int, int]


class Remembered(NamedTuple):
    """A matrix as it was last used without gradients.

    Attributes:
        parts: address and version of each part then.
        form: the matrix.
    """

    parts: tuple[tuple[int, int], ...]
    form: Form


def form_of(choice: Choice) -> type[Form]:
    """The form that a matrix takes under `choice`.

    Raises:
        PlanError: none of FORMS holds such a choice.
    """
    for form in FORMS.values():
        if form.holds(choice):
            return form
    raise PlanError(f"no form of a weight holds the choice {choice.to_json()}; known forms: {', '.join(FORMS)}")


def as_dense(form: Form, shape: tuple[int, int]) -> Form:
    """The matrix of `form`, dense, with zeros for cut units.

    Args:
        form: a matrix.
        shape: rows and columns that it had.
    """
    matrix = form.dense()
    padding = (0, shape[1] - matrix.shape[1], 0, shape[0] - matrix.shape[0])
    return Dense(F.pad(matrix, padding) if any(padding) else matrix)


def matrix_of(parameter: str) -> str:
    """The name of the matrix that is stored, in whatever form, under the name `parameter`."""
    suffixes = (suffix for form in FORMS.values() for suffix in form.suffixes if parameter.endswith(suffix))
    return parameter.removesuffix(max(suffixes, key=len, default=""))


def holding(module: nn.Module, name: str) -> Holding:
    """The way in which `module` holds the matrix `name`: dense where `module` is torch's own."""
    held: Mapping[str, Holding] = getattr(module, "held", {})
    if name in held:
        return held[name]
    weight = cast(nn.Parameter, module._parameters[name])
    return Holding(Dense, DENSE, (name,), (weight.shape[0], weight[0].numel()))


def hold(module: nn.Module, name: str, shape: tuple[int, int], choice: Choice) -> Holding:
    """Registers zeros for the matrix `name` [out, in] of `module` under `choice`.

    Raises:
        PlanError: no form holds such a choice.
        RankError: a rank outside the matrix's range.
    """
    form = form_of(choice)
    found = Holding(form, choice, tuple(f"{name}{suffix}" for suffix in form.suffixes), shape)
    for part_name, part in zip(found.names, form.zeros(choice, shape).parts, strict=True):
        # Not by `register_parameter`: a layer may show the dense matrix under the name.
        module._parameters[part_name] = nn.Parameter(part, requires_grad=part.is_floating_point())
    return found


def get_parameters(module: nn.Module, name: str) -> tuple[nn.Parameter, ...]:
    """The parameters in which `module` holds the matrix `name`."""
    return _parameters(module, holding(module, name))


def get_form(module: nn.Module, name: str) -> Form:
    """The matrix `name` of `module`, in the form in which the module holds it.

    Without gradients, what a form computes of its parts is kept in the module until one of them changes.
    """
    held = holding(module, name)
    parts = _parameters(module, held)
    if not held.form.remembered or torch.is_grad_enabled() or any(part.is_inference() for part in parts):
        return held.form.stored(held.choice, parts)
    memory: dict[str, Remembered] = vars(module)["memory"]
    now = tuple([(part.data_ptr(), part._version) for part in parts])
    if name not in memory or memory[name].parts != now:
        memory[name] = Remembered(now, held.form.stored(held.choice, parts))
    return memory[name].form


def _parameters(module: nn.Module, held: Holding) -> tuple[nn.Parameter, ...]:
    found = module._parameters  # a layer may show the dense matrix under the name; and it is quicker to look here
    return tuple([cast(nn.Parameter, found[name]) for name in held.names])
