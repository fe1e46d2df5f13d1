"""Every parameter of a model, one by one: which can be factorized, which are left and why, which are tied."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from shrinkml.compression.sites import find_sites
from shrinkml.layers.adapters import ADAPTERS, nearest_adapter, why_kept

Verdict = Literal["factorizable", "left", "tied"]


@dataclass(frozen=True, slots=True)
class ParameterNote:
    """The verdict on one parameter.

    Attributes:
        name: dotted path in the model's state.
        shape: of the tensor as stored.
        verdict: "tied" for every name of a tensor but its first.
        why: of what is left, the reason; of what is tied, the first name; of the rest, the name of its layer.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    why: str

    @property
    def is_unknown(self) -> bool:
        """True where it is left although it holds a matrix, which some other form could make smaller."""
        return self.verdict == "left" and sum(size > 1 for size in self.shape) > 1


def list_parameters(model: nn.Module) -> tuple[ParameterNote, ...]:
    """A note on every parameter of `model` under each of its names, in the order of its modules."""
    return tuple(_notes(model))


def _notes(model: nn.Module) -> Iterator[ParameterNote]:
    layers = {id(part): site.layer for site in find_sites(model) for part in site.parameters}
    first: dict[int, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            full = f"{path}.{name}".lstrip(".")
            shape = tuple(parameter.shape)
            if id(parameter) in first:
                yield ParameterNote(full, shape, "tied", first[id(parameter)])
                continue
            first[id(parameter)] = full
            if id(parameter) in layers:
                yield ParameterNote(full, shape, "factorizable", layers[id(parameter)])
            else:
                yield ParameterNote(full, shape, "left", _why_left(module, parameter))


def _why_left(module: nn.Module, parameter: nn.Parameter) -> str:
    kind = type(module).__name__
    if parameter.dim() < 2:
        return "a vector"
    if reason := why_kept(module):
        return reason
    adapter = nearest_adapter(module)
    if adapter is None:
        return f"no factorizer for {kind}"
    if reason := adapter.why_left(module):
        return reason
    if type(module) in ADAPTERS:
        return f"{kind} with these options, or tied to another kind of layer: no factors can replace it"
    return f"{kind} is a kind of layer of its own, which may read its weight in its own way"
