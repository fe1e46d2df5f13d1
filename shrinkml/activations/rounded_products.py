"""Products with a matrix whose inputs are rounded: those of each of its factors."""

from collections.abc import Callable

from torch import Tensor, nn

from shrinkml.activations.places import rounded_at
from shrinkml.weights.form import Form
from shrinkml.weights.forms import holding
from shrinkml.weights.integer_factors import column_scales

Product = Callable[[Tensor, Tensor, bool, bool], Tensor]  # of an input and a factor: the first one, the last one


def input_places(module: nn.Module, name: str) -> tuple[str, ...]:
    """The places at which `module` can round what the matrix `name` multiplies: none where its weights are floats."""
    held = holding(module, name)
    return () if held.choice.bits is None else tuple(map(input_place, range(len(held.form.labels))))


def input_place(factor: int) -> str:
    """The place of the input of that factor, counted from the first that multiplies."""
    return f"input{factor}"


def rounded_product(module: nn.Module, form: Form, x: Tensor, multiply: Product, *, axis: int = -1) -> Tensor:
    """The product of `x` with the factors of `form` in turn, what each multiplies rounded at its place in `module`.

    Scales of the columns of a factor are taken to its input before that is rounded, as in integers.

    Args:
        module: that holds the matrix.
        form: the matrix.
        x: its input.
        multiply: the product with one factor.
        axis: of `x`, that a factor's columns belong to.
    """
    factors = form.factors
    for i, (factor, scales) in enumerate(zip(factors, column_scales(form), strict=True)):
        if scales is None:
            x = rounded_at(module, input_place(i), x)
        else:
            along = scales.to(x).view(-1, *[1] * (-1 - axis))
            x = rounded_at(module, input_place(i), x * along) / along
        x = multiply(x, factor, i == 0, i + 1 == len(factors))
    return x
