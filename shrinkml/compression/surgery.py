"""New models from old ones: matrices in other forms, shaped for a checkpoint, or dense again.

All of these leave their input alone. Only what is not replaced is copied, so that a search can afford a new model for
every plan that it judges.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from shrinkml.activations.places import take_quantizers_
from shrinkml.additions import copied, take_over_
from shrinkml.compression.dropping.drop import drop, without_dropped
from shrinkml.compression.sites import Site, sites_by_layer, sites_by_module
from shrinkml.errors import PlanError, RankError
from shrinkml.layers.adapters import ADAPTERS
from shrinkml.layers.fast_paths import leave_fast_paths_
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.form import Form, as_parameters
from shrinkml.weights.forms import as_dense, form_of, holding

Parameters = tuple[nn.Parameter, ...]


def reshape(model: nn.Module, plan: CompressionPlan) -> nn.Module:
    """A copy of `model` with zeros in place of each layer that `plan` names: the shapes that a checkpoint fills.

    Modules that the plan drops are left out.

    Raises:
        PlanError: the plan names a layer that the model lacks, or a choice that no form holds.
        RankError: a rank outside its layer's range.
    """
    model, plan = drop(model, plan), without_dropped(plan)
    sites = sites_by_layer(model)
    check_names(plan, sites, "model")
    return with_forms(model, {layer: _zeros(sites[layer], choice) for layer, choice in plan})


def merge(model: nn.Module) -> nn.Module:
    """A copy of `model` with every compressed layer dense again: torch's own layers with the products as weights.

    Raises:
        PlanError: units were cut of a recurrent layer.
    """
    sites = sites_by_layer(model)
    if narrow := [layer for layer, site in sites.items() if site.gates and site.form.choice.cuts_units]:
        raise PlanError(
            f"units were cut of the recurrent layer {narrow[0]!r}, and torch's layers have as many in each direction; "
            "allowed: the checkpoint as it is, and its exports"
        )
    with torch.no_grad():
        dense = {layer: as_dense(site.form, site.shape) for layer, site in sites.items() if site.form.choice != DENSE}
    return with_forms(model, dense)


def widen(model: nn.Module) -> nn.Module:
    """A copy of `model` with all weights in floating point, those of few bits rounded as they are; or `model` itself.

    For whoever wants weights that are multiplied as they are stored, as tracing does.
    """
    with torch.no_grad():
        forms = {layer: site.form for layer, site in sites_by_layer(model).items()}
        wide = {layer: form.widened for layer, form in forms.items() if form.widened is not form}
    return with_forms(model, wide) if wide else model


def check_names(plan: CompressionPlan, known: Mapping[str, object], owner: str) -> None:
    """Refuse a plan that names layers which are not `known`.

    Raises:
        PlanError: it does.
    """
    unknown = [layer for layer, _ in plan if layer not in known]
    if unknown:
        raise PlanError(f"no layer {', '.join(map(repr, unknown))} in the {owner}; known: {', '.join(known)}")


def with_forms(model: nn.Module, forms: Mapping[str, Form]) -> nn.Module:
    """A copy of `model` that holds `forms` (layer name -> its matrix) instead of its own; tied layers stay tied."""
    stored = {
        layer: as_parameters(forms[layer], like=site.form)
        for layer, site in sites_by_layer(model).items()
        if layer in forms
    }
    memo: dict[int, Any] = {}
    twins: dict[nn.Module, nn.Module] = {}
    for module, sites in sites_by_module(model).items():
        if any(site.layer in forms for site in sites):
            choices = {site.name: forms.get(site.layer, site.form).choice for site in sites}
            twin = ADAPTERS[type(module)].twin(module, {name: c for name, c in choices.items() if c != DENSE})
            _fill_(twin, {site.name: stored[site.layer] for site in sites if site.layer in forms}, module, memo)
            take_quantizers_(twin, module, memo)
            memo[id(module)] = twins[module] = twin
    changed = copied(model, memo)
    for module, twin in twins.items():
        take_over_(twin, module, memo, made_with={*vars(_like(module)), *vars(twin)})
    leave_fast_paths_(changed, FormLayer)
    return changed


def _like(module: nn.Module) -> nn.Module:
    """A new module of the same type, made with the same arguments."""
    sizes, options = ADAPTERS[type(module)].arguments(module)
    with torch.device("meta"):
        if isinstance(module, FormLayer):
            return type(module)(*sizes, module.choices, **options)  # type: ignore[call-arg]  # as its adapter makes it
        return type(module)(*sizes, **options)


def _zeros(site: Site, choice: Choice) -> Form:
    try:
        return form_of(choice).zeros(choice, site.shape)
    except RankError as error:
        raise RankError(f"layer {site.layer!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {site.layer!r}: {error}") from None


def _fill_(twin: nn.Module, new: Mapping[str, Parameters], module: nn.Module, memo: dict[int, Any]) -> None:
    """Gives `twin` the matrices `new`, and copies of the parameters of `module` for all the rest.

    Of a bias that has more numbers than `twin` has units, the first; of one that has fewer, zeros behind them.
    """
    empty = dict(twin.named_parameters(remove_duplicate=False))
    for matrix, parameters in new.items():
        for name, parameter in zip(holding(twin, matrix).names, parameters, strict=True):
            # A convolution's dense matrix takes its window apart again; in place, for ties hold the parameter itself.
            parameter.data = parameter.data.view(empty.pop(name).shape)
            setattr(twin, name, parameter)
    for name, place in empty.items():
        parameter = copy.deepcopy(module.get_parameter(name), memo)
        if parameter.shape != place.shape:
            parameter.data = F.pad(parameter.data, (0, place.shape[0] - parameter.shape[0])).clone()
        setattr(twin, name, parameter)
