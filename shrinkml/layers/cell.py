"""The common part of recurrent cells, one step of a decoder each: matrices and biases."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from shrinkml.layers.adapter import Arguments, Inputs, Matrices
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.forms import get_form


class FormCell(FormLayer):
    """The matrices and biases of a recurrent cell, one step of a decoder.

    Args:
        input_size: features of the input.
        hidden_size: units.
        choices: of the matrices "weight_ih" and "weight_hh"; what is not named stays dense.
        bias: whether gates have torch's two biases.

    Attributes:
        n_gates: blocks of `hidden_size` rows in each matrix.
        units: that are left. A state may have more, as one of zeros that was made for all: these are left out.
    """

    n_gates: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int, choices: Mapping[str, Choice], *, bias: bool = True) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows, n_left = self.n_gates * hidden_size, choices.get("weight_hh", DENSE).outputs
        self.units = hidden_size if n_left is None else n_left // self.n_gates
        self.hold("weight_ih", (rows, input_size), choices)
        self.hold("weight_hh", (rows, hidden_size), choices)
        self.bias_ih = nn.Parameter(torch.zeros(n_left or rows)) if bias else None
        self.bias_hh = nn.Parameter(torch.zeros(n_left or rows)) if bias else None

    def gates(self, input: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The share [..., gates * units] of the input and that of the state `h` [..., units] in the gates."""
        given = get_form(self, "weight_ih").multiply(input, self.bias_ih)
        return given, get_form(self, "weight_hh").multiply(h, self.bias_hh)

    def extra_repr(self) -> str:
        """The shape and the choices, for `print`."""
        return f"{self.input_size}, {self.hidden_size}, {self.shown_choices()}"


def arguments(module: nn.RNNCellBase | FormCell) -> Arguments:
    """The arguments of a cell, for its adapter."""
    return (module.input_size, module.hidden_size), {"bias": module.bias}


def matrices(_: nn.Module) -> Matrices:
    """The matrices of a cell, for its adapter."""
    yield "weight_ih", "lstm_input"
    yield "weight_hh", "lstm_recurrent"


def inputs(module: nn.RNNCellBase | FormCell, input: Tensor, hx: Any = None) -> Inputs:
    """The inputs of the matrices of a cell: its input, and the state before it."""
    state = hx[0] if isinstance(hx, tuple) else hx
    units = module.units if isinstance(module, FormCell) else module.hidden_size
    h = input.new_zeros(*input.shape[:-1], units) if state is None else state[..., :units]
    yield "weight_ih", input.reshape(-1, input.shape[-1])
    yield "weight_hh", h.reshape(-1, units)
