"""The tensors of a model as files hold them: matrices of few bits in one tensor of bytes each."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from shrinkml.errors import PlanError
from shrinkml.weights.form import Form
from shrinkml.weights.forms import Holding, get_form

Tensors = Mapping[str, Tensor]


class _Matrix(NamedTuple):
    """A matrix that a layer of ours holds: its name in the model, how it is held, and itself."""

    name: str
    held: Holding
    form: Form

    @property
    def parts(self) -> list[str]:
        """The names of its parts in the model's state."""
        path = self.name.rpartition(".")[0]
        return [f"{path}.{part}".lstrip(".") for part in self.held.names]


def pack(model: nn.Module, tensors: Tensors) -> dict[str, Tensor]:
    """The `tensors` of the state of `model`, by name, with its matrices as files hold them."""
    packed = dict(tensors)
    for matrix in _matrices(model):
        if all(name in packed for name in matrix.parts):  # it is stored under its first name alone
            for name in matrix.parts:
                del packed[name]
            packed |= {f"{matrix.name}{suffix}": tensor for suffix, tensor in matrix.form.files.items()}
    return packed


def unpack(model: nn.Module, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of the state of `model` that `pack` made `tensors` of.

    Raises:
        PlanError: they hold no matrix under the choice that `model` holds it under.
    """
    unpacked = dict(tensors)
    for matrix in _matrices(model):
        names = {f"{matrix.name}{suffix}": suffix for suffix in matrix.held.form.file_suffixes}
        if all(name in unpacked for name in names):
            files = {suffix: unpacked.pop(name) for name, suffix in names.items()}
            unpacked |= dict(zip(matrix.parts, _opened(matrix, files).parts, strict=True))
    return unpacked


def weights_in_files(model: nn.Module, packed: Tensors) -> dict[str, int]:
    """Name -> weights in it, of the tensors `packed` of `model` of which not every number is a weight.

    All weights of a matrix are counted in its first tensor.
    """
    counts: dict[str, int] = {}
    for matrix in _matrices(model):
        names = [f"{matrix.name}{suffix}" for suffix in matrix.held.form.file_suffixes]
        n_weights = matrix.form.cost().parameters
        if all(name in packed for name in names) and n_weights != sum(packed[name].numel() for name in names):
            counts |= {**dict.fromkeys(names, 0), names[0]: n_weights}
    return counts


def _opened(matrix: _Matrix, files: Tensors) -> Form:
    try:
        return matrix.held.form.opened(matrix.held.choice, matrix.held.shape, files)
    except PlanError as error:
        raise PlanError(f"layer {matrix.name!r}: {error}") from None


def _matrices(model: nn.Module) -> Iterator[_Matrix]:
    for path, module in model.named_modules():
        held: Mapping[str, Holding] = getattr(module, "held", {})
        for name in held:
            yield _Matrix(f"{path}.{name}".lstrip("."), held[name], get_form(module, name))
