"""A model whose products are of whole numbers: weights in few bits, activations rounded by ranges that were observed.

References:
    Bie et al. 2019, A Simplified Fully Quantized Transformer for End-to-end Speech Recognition, arXiv:1911.03604.
    Prato et al. 2020, arXiv:1910.10485: post-training quantization, and training that is aware of it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.observing import observe_
from shrinkml.activations.places import attach_, spec_of
from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import current_plan, find_sites
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.decomposition import Decomposition

RECURRENT = ("lstm_input", "lstm_recurrent")  # kinds of layers whose steps are not rounded


def check_quantizable(model: nn.Module, left: Collection[str] = ()) -> None:
    """Refuse a model whose activations cannot be rounded.

    Args:
        model: any module.
        left: names of layers that stay as they are.

    Raises:
        PlanError: it has recurrent layers, no others, or rounds its activations already.
    """
    if (spec := spec_of(model)) is not None:
        raise PlanError(f"the model rounds its activations already, to {spec.bits} bits; give the one that it came of")
    sites = [site for site in find_sites(model) if site.layer not in left]
    recurrent = [site.layer for site in sites if site.kind in RECURRENT]
    if recurrent:
        raise PlanError(
            f"activations of recurrent layers are not rounded ({recurrent[0]} and {len(recurrent) - 1} more); allowed: "
            "models of linear layers and convolutions"
        )
    if not any(site.kind == "linear" for site in sites):
        raise PlanError("no linear layer or convolution is left whose activations could be rounded")


def fully_quantized(
    model: nn.Module,
    spec: ActivationSpec,
    decompositions: Mapping[str, Decomposition],
    run: Callable[[nn.Module], object],
) -> nn.Module:
    """A copy of `model` whose activations are rounded, and as many bits for each weight that no choice rounds.

    Args:
        model: dense or in part compressed, in eval.
        spec: of the activations.
        decompositions: of the layers whose weights and inputs are rounded; others stay as they are.
        run: lets the copy work on calibration speech, batch by batch; ranges are observed on it.

    Raises:
        PlanError: see `check_quantizable`.
        CalibrationError: see `observe_`.
    """
    check_quantizable(model, {site.layer for site in find_sites(model)} - {*decompositions})
    present = current_plan(model)
    plan = {layer: present.choice(layer) for layer in decompositions}
    rounded = {layer: replace(choice, bits=choice.bits or spec.bits) for layer, choice in plan.items()}
    small = factorize(model, CompressionPlan(rounded), decompositions)
    attach_(small, spec)
    observe_(small, lambda: run(small))
    return small
