"""Opens a model to run in int8: the layers that gain by it multiply so. What is stored stays as it is."""

from collections.abc import Collection
from typing import Any, TypeVar

from torch import nn

from shrinkml.additions import copied
from shrinkml.compression.large_tensors import large_tensors_apart
from shrinkml.compression.sites import Site, find_sites
from shrinkml.errors import PlanError, PrecisionError
from shrinkml.layers.adapters import ADAPTERS
from shrinkml.layers.fast_paths import leave_fast_paths_
from shrinkml.layers.int8_linear import LEAST_SIDE, LEAST_WEIGHTS, Int8Linear, gains

M = TypeVar("M", bound=nn.Module)


def in_int8(model: M, kept: Collection[str] = ()) -> M:
    """A copy of `model` whose linear layers, in whatever form, multiply in int8. It can only run.

    Recurrent layers, convolutions and embeddings stay as they are, and so do small and thin matrices.

    Args:
        model: any module.
        kept: names of layers that stay as they are.

    Raises:
        PlanError: `kept` names a layer that the model lacks.
        PrecisionError: no layer would multiply in int8.
    """
    sites = find_sites(model)
    unknown = {*kept} - {site.layer for site in sites}
    if unknown:
        raise PlanError(f"no layer {', '.join(sorted(unknown))} in the model, to be kept; see `list_parameters`")
    gaining = {site.module: site for site in sites if site.layer not in kept and _gains(site)}
    if not gaining:
        raise PrecisionError(
            f"nothing in the model would gain by int8 in torch: that takes linear layers of {LEAST_WEIGHTS} weights "
            f"and {LEAST_SIDE} rows and columns or more; run it in float"
        )
    with large_tensors_apart():
        memo: dict[int, Any] = {id(module): _int8_layer(site) for module, site in gaining.items()}
    small = copied(model, memo).requires_grad_(False)
    leave_fast_paths_(small, Int8Linear)
    return small


def gains_by_int8(model: nn.Module) -> bool:
    """True where `in_int8` would find a layer in `model` that is large enough."""
    return any(map(_gains, find_sites(model)))


def is_int8(model: nn.Module) -> bool:
    """True where `in_int8` made it."""
    return any(isinstance(module, Int8Linear) for module in model.modules())


def _gains(site: Site) -> bool:
    return ADAPTERS[type(site.module)].int8_type is not None and gains(site.form)


def _int8_layer(site: Site) -> nn.Module:
    int8_type = ADAPTERS[type(site.module)].int8_type
    assert int8_type is not None, "only sites that gain by int8"
    return int8_type(site.form, None if site.bias is None else site.module.get_parameter(site.bias))
