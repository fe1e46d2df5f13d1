"""The places of a model at which activations are rounded.

A module that can round names its places in `rounded_places`; the quantizers of a model that does round are its child
ACTIVATIONS, by the names of its places. Without that child nothing is rounded and nothing costs time.
"""

import copy
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.quantizer import Quantizer
from shrinkml.errors import PlanError

ACTIVATIONS = "activations"


def rounds(module: nn.Module) -> bool:
    """True where `module` rounds activations."""
    return ACTIVATIONS in module._modules


def quantizer_at(module: nn.Module, place: str) -> Quantizer | None:
    """The quantizer of `module` at `place`; None where nothing is rounded."""
    held = module._modules.get(ACTIVATIONS)
    return None if held is None else cast(Quantizer, held._modules[place])


def rounded_at(module: nn.Module, place: str, x: Tensor) -> Tensor:
    """`x` [...] as the quantizer of `module` at `place` rounds it; as it is where nothing is rounded."""
    quantizer = quantizer_at(module, place)
    return x if quantizer is None else quantizer(x)


def divisor_at(module: nn.Module, place: str, x: Tensor) -> Tensor:
    """The same of positive numbers by which others are divided: one step at least, where rounding would give 0."""
    quantizer = quantizer_at(module, place)
    if quantizer is None:
        return x
    found: Tensor = quantizer(x)
    return found if quantizer.watching else found.clamp(min=quantizer.grid.scale)


def attach_(model: nn.Module, spec: ActivationSpec) -> None:
    """Gives each module of `model` that names places quantizers, which have seen nothing yet.

    Raises:
        PlanError: no module names any.
    """
    found = [(module, places) for module in model.modules() if (places := getattr(module, "rounded_places", ()))]
    if not found:
        raise PlanError("nothing in the model rounds activations: it has no linear layer or convolution of few bits")
    device = next(model.parameters()).device
    for module, places in found:
        held = nn.ModuleDict({place: Quantizer(spec) for place in places})
        module.add_module(ACTIVATIONS, held.to(device).train(module.training))


def quantizers(model: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    """Name and quantizer of each place of `model`."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            yield name, module


def spec_of(model: nn.Module) -> ActivationSpec | None:
    """The rounding of the activations of `model`; None where they are not rounded."""
    return next((quantizer.spec for _, quantizer in quantizers(model)), None)


def take_quantizers_(twin: nn.Module, module: nn.Module, memo: dict[int, Any]) -> None:
    """Gives `twin`, which replaces `module` in a copy, its quantizers, if `twin` has the same places."""
    if rounds(module) and getattr(twin, "rounded_places", ()) == getattr(module, "rounded_places", None):
        twin.add_module(ACTIVATIONS, copy.deepcopy(module._modules[ACTIVATIONS], memo))
