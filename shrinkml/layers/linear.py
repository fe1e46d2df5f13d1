"""A linear layer over a matrix in any form."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.activations.places import rounds
from shrinkml.activations.rounded_products import input_places, rounded_product
from shrinkml.layers.adapter import Adapter, Arguments, Inputs, Matrices
from shrinkml.layers.form_layer import FormLayer
from shrinkml.layers.int8_linear import Int8Linear
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.forms import get_form


class FormLinear(FormLayer):
    """A drop-in for `nn.Linear`.

    Args:
        in_features: columns of the weight, with all of its units.
        out_features: rows of the weight, with all of its units.
        choices: of the matrix "weight".
        bias: whether a bias is added.
    """

    def __init__(
        self, in_features: int, out_features: int, choices: Mapping[str, Choice], *, bias: bool = True
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.hold("weight", (out_features, in_features), choices)
        n_left = choices.get("weight", DENSE).outputs or out_features
        self.bias = nn.Parameter(torch.zeros(n_left)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The dense weight [out, in], for code that reads a linear layer's weight."""
        return get_form(self, "weight").dense()

    @property
    def rounded_places(self) -> tuple[str, ...]:
        """The places at which activations can be rounded."""
        return input_places(self, "weight")

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        form = get_form(self, "weight")
        if not rounds(self):
            return form.multiply(input, self.bias)
        return rounded_product(self, form, input, self._product)

    def _product(self, x: Tensor, factor: Tensor, first: bool, last: bool) -> Tensor:
        """The product of `x` with one factor; the last has the bias."""
        return F.linear(x, factor, self.bias if last else None)

    def extra_repr(self) -> str:
        """The shape and the choices, for `print`."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, {self.shown_choices()}"


def _arguments(module: nn.Linear | FormLinear) -> Arguments:
    return (module.in_features, module.out_features), {"bias": module.bias is not None}


def _matrices(_: nn.Module) -> Matrices:
    yield "weight", "linear"


def _inputs(_: nn.Module, input: Tensor) -> Inputs:
    yield "weight", input.reshape(-1, input.shape[-1])


LINEAR = Adapter(nn.Linear, FormLinear, _arguments, _matrices, _inputs, cuts_units=True, int8_type=Int8Linear)
