"""A model under a plan: every matrix that the plan names in the form of its choice, made of its decomposition."""

from collections.abc import Mapping

import torch
from torch import nn

from shrinkml.compression.sites import find_sites, sites_by_layer
from shrinkml.compression.surgery import check_names, with_forms
from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form
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
        small = with_forms(
            model,
            {layer: _compressed(layer, sites[layer].form, choice, decompositions[layer]) for layer, choice in plan},
        )
        _shift_(small, plan, decompositions)
    return small


def _compressed(layer: str, form: Form, choice: Choice, decomposition: Decomposition) -> Form:
    """The matrix of `layer` under `choice`; errors name the layer."""
    try:
        return form_of(choice).compressed(form, choice, decomposition)
    except RankError as error:
        raise RankError(f"layer {layer!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {layer!r}: {error}") from None


def _shift_(small: nn.Module, plan: CompressionPlan, decompositions: Mapping[str, Decomposition]) -> None:
    """Gives the biases of `small` what dropped directions gave on average."""
    places = {(site.module, site.bias): site.layer for site in find_sites(small)}  # a module may stand at several
    for (module, bias), layer in places.items():
        rank = plan.choice(layer).rank
        if bias is not None and rank is not None:
            parameter = module.get_parameter(bias)
            parameter.add_(decompositions[layer].shift(rank).to(parameter))  # perhaps to a GPU
