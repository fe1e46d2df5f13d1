"""Problems whose best plan is known: what an agent must be able to find.

A toy judges plans by a formula in place of a recogniser. Each layer does damage that grows with the energy that it
loses, by a sensitivity of its own, which no spectrum shows; neighbours may make each other's damage worse. The damage D
of all layers turns into WER as base + (1 - base) * (1 - exp(-D)). That is monotone, so the plan of least damage is the
best one, and dynamic programming over layers and weights finds it exactly (the multiple-choice knapsack problem).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from envs.budget import Budget
from envs.menus import MENU_STEPS, build_menus
from envs.problem import RankProblem
from envs.retained_energy import retained_energies
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerKind, LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import parameter_prices

BASE_WER = 0.01


@dataclass(frozen=True, slots=True)
class Toy:
    """A problem and its judge; picklable.

    Attributes:
        problem: what a strategy is given.
        damage: of each layer at each of its menu entries.
        coupling: two neighbours add this times the geometric mean of their damages; 0 makes layers independent.
    """

    problem: RankProblem
    damage: tuple[tuple[float, ...], ...]
    coupling: float = 0.0

    def evaluate(self, plan: CompressionPlan) -> float:
        """The WER of `plan`."""
        entries = Budget.of(self.problem).entries(plan)
        harm = [damage[entry] for damage, entry in zip(self.damage, entries, strict=True)]
        total = sum(harm) + sum(self._joint(a, b) for a, b in pairwise(harm))
        return BASE_WER + (1.0 - BASE_WER) * (1.0 - math.exp(-total))

    def best_plan(self) -> CompressionPlan:
        """A plan of the lowest WER within the budget."""
        budget = Budget.of(self.problem)
        extra = [np.asarray(prices) - prices[0] for prices in budget.weights]
        unit = max(1, int(np.gcd.reduce(np.concatenate(extra))))
        n_cells = (budget.limit - budget.spent(budget.cheapest)) // unit + 1
        least = np.full((1, n_cells), 0.0)  # [entry of the layer before, units still unspent]
        sources: list[npt.NDArray[np.int64]] = []
        before: Sequence[float] = (0.0,)
        for damage, costs in zip(self.damage, extra, strict=True):
            joint = np.array([[self._joint(a, b) for a in before] for b in damage])
            reached = np.full((len(damage), n_cells), np.inf)
            source = np.zeros((len(damage), n_cells), dtype=np.int64)
            for entry, cost in enumerate(costs // unit):
                if cost < n_cells:
                    options = least[:, cost:] + joint[entry][:, None]
                    source[entry, : n_cells - cost] = options.argmin(axis=0)
                    reached[entry, : n_cells - cost] = options.min(axis=0) + damage[entry]
            least, before = reached, damage
            sources.append(source)
        return budget.plan(_trace_back(least, sources, [costs // unit for costs in extra]))

    def _joint(self, a: float, b: float) -> float:
        return self.coupling * math.sqrt(a * b)


def separable(seed: int = 5) -> Toy:
    """Six small layers that do not interact."""
    return _toy(_small_layers(), compression_ratio=3.0, menu_steps=6, seed=seed, scale=0.5, coupling=0.0)


def coupled(seed: int = 6) -> Toy:
    """Six small layers, each of which makes the damage of its neighbours worse."""
    return _toy(_small_layers(), compression_ratio=3.0, menu_steps=6, seed=seed, scale=0.3, coupling=1.0)


def recogniser(compression_ratio: float = 5.0, seed: int = 2, encoder_layers: int = 3) -> Toy:
    """The matrices of a listen-attend-spell model with 320-unit layers: a search as long as a real one.

    Args:
        compression_ratio: of the problem.
        seed: of spectra and sensitivities.
        encoder_layers: of four matrices each; six more are elsewhere. The more there are, the less damage each does.
    """
    layers = _recogniser_layers(encoder_layers)
    scale, steps = 0.1 * (18 / len(layers)), MENU_STEPS
    return _toy(layers, compression_ratio=compression_ratio, menu_steps=steps, seed=seed, scale=scale, coupling=0.5)


TOYS: dict[str, Callable[[], Toy]] = {"separable": separable, "coupled": coupled, "recogniser": recogniser}


def _toy(
    layers: tuple[LayerSpec, ...],
    *,
    compression_ratio: float,
    menu_steps: int,
    seed: int,
    scale: float,
    coupling: float,
) -> Toy:
    rng = np.random.default_rng(seed)
    n_biases = sum(layer.out_features for layer in layers)
    cost = ModelCost(layers, other=Cost(n_biases, 4 * n_biases))
    problem = RankProblem(
        cost=cost,
        menus=build_menus(layers, current_ranks=CompressionPlan(), steps=menu_steps),
        prices=parameter_prices(cost),
        compression_ratio=compression_ratio,
        spectra={layer.name: _spectrum(layer, rng) for layer in layers},
        baseline_wer=BASE_WER,
    )
    energies = retained_energies(problem, Budget.of(problem))
    sensitivities = scale * rng.lognormal(0.0, 0.8, len(layers))
    damage = tuple(
        tuple(float(sensitivity) * (1.0 - kept) ** 2 for kept in row)
        for sensitivity, row in zip(sensitivities, energies, strict=True)
    )
    return Toy(problem, damage, coupling)


def _spectrum(layer: LayerSpec, rng: np.random.Generator) -> tuple[float, ...]:
    """Singular values that fall by a power law after a plateau, as those of trained layers do."""
    plateau, power = layer.max_rank * math.exp(rng.uniform(math.log(0.01), math.log(0.3))), rng.uniform(0.8, 2.5)
    return tuple(float((1.0 + k / plateau) ** -power) for k in range(layer.max_rank))


def _small_layers() -> tuple[LayerSpec, ...]:
    shapes = [(64, 32), (64, 48), (96, 48), (48, 48), (64, 96), (32, 64)]
    return tuple(LayerSpec(f"layer{i}", "linear", out, inp) for i, (out, inp) in enumerate(shapes))


def _recogniser_layers(encoder_layers: int) -> tuple[LayerSpec, ...]:
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


def _trace_back(
    least: npt.NDArray[np.float64],
    sources: Sequence[npt.NDArray[np.int64]],
    costs: Sequence[npt.NDArray[np.int64]],
) -> list[int]:
    """The entries that lead to the least damage in the table of the last layer."""
    entry, cell = (int(i) for i in np.unravel_index(least.argmin(), least.shape))
    entries = [entry]
    for source, cost in zip(reversed(sources[1:]), reversed(costs[1:]), strict=True):
        previous = int(source[entry, cell])
        cell += int(cost[entry])
        entry = previous
        entries.insert(0, entry)
    return entries
