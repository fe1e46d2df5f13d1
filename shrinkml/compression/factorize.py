"""A model under a plan: every matrix that the plan names in the form of its choice, made of its decomposition."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shrinkml.compression.sites import Site, find_sites, sites_by_layer
from shrinkml.compression.surgery import check_names, with_forms
from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, floats_of
from shrinkml.weights.forms import form_of


def factorize(
    model: nn.Module,
    plan: CompressionPlan,
    decompositions: Mapping[str, Decomposition],
    *,
    made: dict[str, Form] | None = None,
) -> nn.Module:
    """A copy of `model` with each layer that `plan` names in the form of its choice, and its bias shifted or cut.

    Layers that the plan does not name, or names with the choice that they have and that nobody decomposed, stay as they
    are, dense or compressed.

    Args:
        model: dense or in part compressed.
        plan: of its layers.
        decompositions: of the layers that it changes.
        made: layer -> its matrix under the plan before, of the same model and decompositions. Where a layer has the
            same choice it is taken, not made again; afterwards `made` holds those of this plan. Copies share them: for
            models that are only compared, one after another.

    Raises:
        PlanError: the plan names a layer that the model lacks, or that it changes and `decompositions` lacks, or a
            choice that no form holds, or cuts units of a layer and not of its follower.
        RankError: a rank outside its layer's range.
    """
    sites = sites_by_layer(model)
    check_names(plan, sites, "model")
    plan = CompressionPlan({name: it for name, it in plan if name in decompositions or it != sites[name].form.choice})
    check_names(plan, decompositions, "decompositions")
    _check_units(plan)
    with torch.no_grad():
        known = {layer: form for layer, form in (made or {}).items() if plan.choice(layer) == form.choice}
        forms = {
            layer: known.get(layer) or _compressed(layer, sites[layer].form, choice, decompositions[layer])
            for layer, choice in plan
        }
        small = with_forms(model, forms)
        shifts = {layer: _shift(sites[layer].form, form, decompositions[layer]) for layer, form in forms.items()}
        _shift_(small, shifts)
        _cut_biases_(small, {layer: sites[layer] for layer in forms}, decompositions)
        if made is not None:
            made.clear()
            made.update({layer: type(form).stored(form.choice, form.parts) for layer, form in forms.items()})
    return small


def _check_units(plan: CompressionPlan) -> None:
    """Refuse a plan that leaves units of some layers without as many inputs of others, as it must be in pairs."""
    left = [sorted(units for _, choice in plan if (units := getattr(choice, side))) for side in ("outputs", "inputs")]
    if left[0] != left[1]:
        raise PlanError(
            f"the plan leaves {left[0]} outputs of layers and {left[1]} inputs of others; units are cut of a layer and "
            "of the one that multiplies them (`shrinkml.compression.unit_pairs` finds them)"
        )


def _compressed(layer: str, form: Form, choice: Choice, decomposition: Decomposition) -> Form:
    """The matrix of `layer` under `choice`; errors name the layer."""
    try:
        return form_of(choice).compressed(form, choice, decomposition)
    except RankError as error:
        raise RankError(f"layer {layer!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {layer!r}: {error}") from None


def _shift(before: Form, after: Form, decomposition: Decomposition) -> Tensor | None:
    """Mean of what dropped directions or weights of a matrix, or what was rounded off, gave, [out]; None without."""
    known = len(decomposition.root) == before.shape[1] and after.shape == before.shape
    if after.choice.sparsity or (after.choice.bits and known):
        lost = before.dense() - after.dense().to(floats_of(before))
        return lost @ decomposition.mean.to(lost)
    left = after.choice.rank if after.choice.inputs is None else after.choice.inputs
    return None if left is None else decomposition.shift(left)


def _shift_(small: nn.Module, shifts: Mapping[str, Tensor | None]) -> None:
    """Gives the biases of `small` the `shifts` of their layers."""
    places = {(site.module, site.bias): site.layer for site in find_sites(small)}  # a module may stand at several
    for (module, bias), layer in places.items():
        shift = shifts.get(layer)
        if bias is not None and shift is not None:
            parameter = module.get_parameter(bias)
            parameter.add_(shift.to(parameter))  # perhaps to a GPU


def _cut_biases_(small: nn.Module, before: Mapping[str, Site], decompositions: Mapping[str, Decomposition]) -> None:
    """Gives the layers of `small` whose units were cut the biases of those that are left, from the sites `before`."""
    for site in find_sites(small):
        n_left, old = site.form.choice.outputs, before.get(site.layer)
        if n_left and old and old.bias and site.bias and n_left < old.form.shape[0]:
            kept = decompositions[site.layer].inputs_of(n_left)
            bias = old.module.get_parameter(old.bias)
            site.module.get_parameter(site.bias).copy_(bias[kept.to(bias.device)])
