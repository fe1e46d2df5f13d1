"""All that compression has to know of one type of layer: a row of `shrinkml.layers.adapters.ADAPTERS`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.plan.choice import Choice
from shrinkml.plan.layer_spec import LayerKind
from shrinkml.weights.form import Form

Matrices = Iterator[tuple[str, LayerKind]]  # of one module: name in the module, and kind
Inputs = Iterator[tuple[str, Tensor]]  # of its matrices: name, and inputs [frames, in], perhaps in parts
Arguments = tuple[tuple[int, ...], Mapping[str, Any]]  # that a layer is made with: sizes, and options


def _no_matrices(_: nn.Module) -> Matrices:
    yield from ()


def _no_inputs(_: nn.Module, *args: object, **kwargs: object) -> Inputs:
    yield from ()


def _no_reason(_: nn.Module) -> str | None:
    return None


def _no_arguments(_: nn.Module) -> Arguments:
    return (), {}


@dataclass(frozen=True, slots=True)
class Adapter:
    """One type of layer, as torch has it and as `shrinkml.layers` holds its matrices in any form.

    Attributes:
        dense_type: torch's layer.
        form_type: ours, made with the same arguments and, behind the sizes, the choices of its matrices.
        arguments: the sizes and options of a module of either type, by which one like it is made.
        matrices: name and kind of each matrix of a module that can be compressed.
        inputs: what each of them multiplies when the module is called so; nothing where it is looked up.
        why_left: a reason of this type why the matrices of a module are left; None where there is none.
        cuts_units: True where rows, with their biases, and columns of the matrix "weight" may be cut, and nothing else
            of the layer is in its units.
        gates: of a recurrent layer the rows of its matrices for each of its units, which may be cut, too; else 0.
        int8_type: makes a layer that multiplies in int8 of a matrix and a bias; None where none is faster.
    """

    dense_type: type[nn.Module]
    form_type: type[nn.Module] | None = None
    arguments: Callable[[Any], Arguments] = _no_arguments
    matrices: Callable[[Any], Matrices] = _no_matrices
    inputs: Callable[..., Inputs] = _no_inputs
    why_left: Callable[[Any], str | None] = _no_reason
    cuts_units: bool = False
    gates: int = 0
    int8_type: Callable[[Form, Tensor | None], nn.Module] | None = None

    @property
    def types(self) -> tuple[type[nn.Module], ...]:
        """Both types."""
        return (self.dense_type,) if self.form_type is None else (self.dense_type, self.form_type)

    def twin(self, module: nn.Module, choices: Mapping[str, Choice]) -> nn.Module:
        """A module like `module` under those choices, torch's own where there are none; parameters without storage."""
        sizes, options = self.arguments(module)
        with torch.device("meta"):
            if choices and self.form_type is not None:
                made = self.form_type(*sizes, choices, **options)
            else:
                made = self.dense_type(*sizes, **options)
            return made.train(module.training)
