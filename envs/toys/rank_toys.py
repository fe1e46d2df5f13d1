"""Toys whose decisions are the ranks of layers."""

import math
from collections.abc import Sequence

import numpy as np

from envs.menus import MENU_STEPS, build_menus
from envs.rank_options import rank_problem
from envs.toys.toy import BASE_WER, Toy
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerKind, LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import parameter_prices


def separable(seed: int = 5) -> Toy:
    """Six small layers that do not interact."""
    return rank_toy(small_layers(), compression_ratio=3.0, menu_steps=6, seed=seed, scale=0.5, coupling=0.0)


def coupled(seed: int = 6) -> Toy:
    """Six small layers, each of which makes the word loss of its neighbours worse."""
    return rank_toy(small_layers(), compression_ratio=3.0, menu_steps=6, seed=seed, scale=0.3, coupling=1.0)


def recogniser(compression_ratio: float = 5.0, seed: int = 2, encoder_layers: int = 3) -> Toy:
    """The matrices of a listen-attend-spell model with 320-unit layers: a search as long as a real one.

    Args:
        compression_ratio: of the problem.
        seed: of spectra and sensitivities.
        encoder_layers: of four matrices each; six more are elsewhere. The more there are, the fewer words each costs.
    """
    layers = recogniser_layers(encoder_layers)
    scale, steps = 0.1 * (18 / len(layers)), MENU_STEPS
    return rank_toy(layers, compression_ratio=compression_ratio, menu_steps=steps, seed=seed, scale=scale, coupling=0.5)


def rank_toy(
    layers: tuple[LayerSpec, ...],
    *,
    compression_ratio: float,
    menu_steps: int,
    seed: int,
    scale: float,
    coupling: float,
) -> Toy:
    """A toy whose decisions are ranks.

    Args:
        layers: in forward order.
        compression_ratio: of the problem, in parameters.
        menu_steps: options of a layer, at most.
        seed: of spectra and sensitivities.
        scale: of word losses.
        coupling: see `Toy`.
    """
    rng = np.random.default_rng(seed)
    n_biases = sum(layer.out_features for layer in layers)
    cost = ModelCost(layers, other=Cost(n_biases, 4 * n_biases))
    problem = rank_problem(
        cost,
        menus=build_menus(layers, current_ranks=CompressionPlan(), steps=menu_steps),
        prices=parameter_prices(cost),
        compression_ratio=compression_ratio,
        spectra=spectra(layers, rng),
        baseline_wer=BASE_WER,
    )
    sensitivities = scale * rng.lognormal(0.0, 0.8, len(layers))
    word_losses = tuple(
        tuple(float(sensitivity) * (1.0 - kept) ** 2 for kept in row)
        for sensitivity, row in zip(sensitivities, problem.retained_energies, strict=True)
    )
    return Toy(problem, word_losses, coupling)


def spectra(layers: Sequence[LayerSpec], rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """Layer name -> singular values, as different as those of real layers."""
    return {layer.name: _spectrum(layer, rng) for layer in layers}


def _spectrum(layer: LayerSpec, rng: np.random.Generator) -> tuple[float, ...]:
    """Singular values that fall by a power law after a plateau, as those of trained layers do."""
    plateau, power = layer.max_rank * math.exp(rng.uniform(math.log(0.01), math.log(0.3))), rng.uniform(0.8, 2.5)
    return tuple(float((1.0 + k / plateau) ** -power) for k in range(layer.max_rank))


def small_layers() -> tuple[LayerSpec, ...]:
    """Six matrices that a search of a second knows by heart."""
    shapes = [(64, 32), (64, 48), (96, 48), (48, 48), (64, 96), (32, 64)]
    return tuple(LayerSpec(f"layer{i}", "linear", out, inp) for i, (out, inp) in enumerate(shapes))


def recogniser_layers(encoder_layers: int) -> tuple[LayerSpec, ...]:
    """The matrices of a listen-attend-spell model of that many bidirectional encoder layers."""
    units, classes = 320, 128
    shapes: list[tuple[str, LayerKind, int, int]] = []
    for layer in range(encoder_layers):
        inputs = 2 * units if layer else 120
        for direction in ("forward", "backward"):
            shapes.append((f"encoder.{layer}.{direction}.input", "lstm_input", 4 * units, inputs))
            shapes.append((f"encoder.{layer}.{direction}.recurrent", "lstm_recurrent", 4 * units, units))
    shapes += [
        ("attention.keys", "linear", units, 2 * units),
        ("attention.query", "linear", units, units),
        ("decoder.embedding", "embedding", classes, units),
        ("decoder.input", "lstm_input", 4 * units, 3 * units),
        ("decoder.recurrent", "lstm_recurrent", 4 * units, units),
        ("decoder.output", "linear", classes, 3 * units),
    ]
    return tuple(LayerSpec(*shape) for shape in shapes)
