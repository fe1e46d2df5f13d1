"""A model under a plan: every matrix that the plan names in the form of its choice, made of its decomposition."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shrinkml.compression.sites import find_sites, sites_by_layer
from shrinkml.compression.surgery import check_names, with_forms
from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, floats_of
from shrinkml.weights.forms import form_of


def factorize(model: nn.Module, plan: CompressionPlan, decompositions: Mapping[str, Decomposition]) -> nn.Module:
    """A copy of `model` with each layer that `plan` names in the form of its choice, and its bias shifted.

    Layers that the plan does not name, or names with the choice that they have and that nobody decomposed, stay as they
    are, dense or compressed.

    Raises:
        PlanError: the plan names a layer that the model lacks, or that it changes and `decompositions` lacks, or a
            choice that no form holds.
        RankError: a rank outside its layer's range.
    """
    sites = sites_by_layer(model)
    check_names(plan, sites, "model")
    plan = CompressionPlan({name: it for name, it in plan if name in decompositions or it != sites[name].form.choice})
    check_names(plan, decompositions, "decompositions")
    with torch.no_grad():
        forms = {layer: _compressed(layer, sites[layer].form, choice, decompositions[layer]) for layer, choice in plan}
        small = with_forms(model, forms)
        shifts = {layer: _shift(sites[layer].form, form, decompositions[layer]) for layer, form in forms.items()}
        _shift_(small, shifts)
    return small


def _compressed(layer: str, form: Form, choice: Choice, decomposition: Decomposition) -> Form:
    """The matrix of `layer` under `choice`; errors name the layer."""
    try:
        return form_of(choice).compressed(form, choice, decomposition)
    except RankError as error:
        raise RankError(f"layer {layer!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {layer!r}: {error}") from None


def _shift(before: Form, after: Form, decomposition: Decomposition) -> Tensor | None:
    """Mean of what the dropped directions or weights of a matrix gave, [out]; None where there are none."""
    if after.choice.sparsity:
        lost = before.dense() - after.dense().to(floats_of(before))
        return lost @ decomposition.mean.to(lost)
    return None if after.choice.rank is None else decomposition.shift(after.choice.rank)


def _shift_(small: nn.Module, shifts: Mapping[str, Tensor | None]) -> None:
    """Gives the biases of `small` the `shifts` of their layers."""
    places = {(site.module, site.bias): site.layer for site in find_sites(small)}  # a module may stand at several
    for (module, bias), layer in places.items():
        shift = shifts.get(layer)
        if bias is not None and shift is not None:
            parameter = module.get_parameter(bias)
            parameter.add_(shift.to(parameter))  # perhaps to a GPU
