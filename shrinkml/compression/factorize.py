"""A model under a plan: every matrix that the plan names in the form of its choice, made of its decomposition."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shrinkml.compression.dropping.drop import drop, without_dropped
from shrinkml.compression.sites import Site, find_sites, sites_by_layer
from shrinkml.compression.surgery import check_names, with_forms
from shrinkml.compression.unit_flow.fed_columns import Columns, mean_shift
from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed
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

    Modules that the plan drops are left out, whatever it says of the layers in them. Layers that it does not name, or
    names with the choice that they have and that nobody decomposed, stay as they are, dense or compressed.

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
    layers = [*sites_by_layer(model)]  # by whose numbers decompositions call them
    model, plan = drop(model, plan), without_dropped(plan)
    sites = sites_by_layer(model)
    check_names(plan, sites, "model")
    plan = CompressionPlan({name: it for name, it in plan if name in decompositions or it != sites[name].form.choice})
    check_names(plan, decompositions, "decompositions")
    feeds = {layer: _feeds(decompositions[layer], layers) for layer, _ in plan}
    _check_units(CompressionPlan({name: choice for name, choice in plan if not feeds[name]}), sites)
    with torch.no_grad():
        fed = {
            layer: Columns.under(plan, layer, found, {it: decompositions[it] for it in _involved(layer, found, plan)})
            for layer, found in feeds.items()
            if found
        }
        cut = {layer: columns for layer, columns in fed.items() if len(columns.cut)}
        known = {
            layer: form
            for layer, form in (made or {}).items()
            if plan.choice(layer) == form.choice and layer not in cut  # of as many columns, others may be left
        }
        forms = {
            layer: known.get(layer)
            or _compressed(layer, sites[layer].form, choice, decompositions[layer], cut.get(layer))
            for layer, choice in plan
        }
        small = with_forms(model, forms)
        _cut_biases_(small, {layer: sites[layer] for layer in forms}, decompositions)
        shifts = {
            layer: _shift(sites[layer].form, form, decompositions[layer], cut.get(layer))
            for layer, form in forms.items()
        }
        _shift_(small, shifts)
        if made is not None:
            made.clear()
            made.update({layer: type(form).stored(form.choice, form.parts) for layer, form in forms.items()})
    return small


def _feeds(decomposition: Decomposition, layers: Sequence[str]) -> tuple[Feed, ...]:
    """The units that feed columns of the matrix of that decomposition, of a model with those `layers`."""
    return tuple(Feed(layers[number], *rest) for number, *rest in decomposition.feeds.tolist())


def _involved(layer: str, feeds: Sequence[Feed], plan: CompressionPlan) -> set[str]:
    return {layer, *(feed.layer for feed in feeds if feed.n_cut(plan.choice(feed.layer)))}


def _check_units(plan: CompressionPlan, sites: Mapping[str, Site]) -> None:
    """Refuse a plan that leaves units of some layers without as many inputs of others, as it must be in pairs.

    Those of recurrent layers are no pairs, and not looked at.
    """
    paired = [choice for layer, choice in plan if not sites[layer].gates]
    left = [sorted(units for choice in paired if (units := getattr(choice, side))) for side in ("outputs", "inputs")]
    if left[0] != left[1]:
        raise PlanError(
            f"the plan leaves {left[0]} outputs of layers and {left[1]} inputs of others; units are cut of a layer and "
            "of the one that multiplies them (`shrinkml.compression.unit_pairs` finds them)"
        )


def _compressed(layer: str, form: Form, choice: Choice, decomposition: Decomposition, columns: Columns | None) -> Form:
    """The matrix of `layer` under `choice`, where `columns` are cut of those; errors name the layer."""
    if columns is not None:
        form = columns.of_form(form, decomposition)
        decomposition = columns.of_decomposition(decomposition)
    try:
        return form_of(choice).compressed(form, choice, decomposition)
    except RankError as error:
        raise RankError(f"layer {layer!r}: {error}") from None
    except PlanError as error:
        raise PlanError(f"layer {layer!r}: {error}") from None


def _shift(before: Form, after: Form, decomposition: Decomposition, columns: Columns | None) -> Tensor | None:
    """Mean of what dropped directions or weights of a matrix, or what was rounded off, gave, [out]; None without."""
    if columns is not None:
        n_left = after.shape[0]
        rows = decomposition.rows_of(n_left) if n_left < before.shape[0] else None
        return mean_shift(before, after, decomposition.mean, columns, rows)
    known = len(decomposition.root) == before.shape[1] and after.shape == before.shape
    if after.choice.sparsity or (after.choice.bits and known):
        lost = before.dense() - after.dense().to(floats_of(before))
        return lost @ decomposition.mean.to(lost)
    left = after.choice.rank if after.choice.inputs in (None, before.shape[1]) else after.choice.inputs
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
            kept = decompositions[site.layer].rows_of(n_left)
            bias = old.module.get_parameter(old.bias)
            site.module.get_parameter(site.bias).copy_(bias[kept.to(bias.device)])
