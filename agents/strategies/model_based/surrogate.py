"""Search inside a learned model of the evaluations, and judge for real only its best and most informative proposals.

A model-based agent that plans instead of learning a policy, as PETS does (Chua et al. 2018, arXiv:1805.12114): inside
the model (`agents.strategies.model_based.model_search`) plans are mutated at random.
`agents.strategies.model_based.dyna` is the same with mutations that a policy has learned. What it wins on real models,
docs/measurements.md tells, "Strategies at equal evaluations".
"""

from dataclasses import dataclass

import numpy as np

from agents.search.search import Search
from agents.strategies.baselines.evolution import MAX_STEP, mutated_share
from agents.strategies.model_based.model_search import search_in_model
from agents.strategies.model_based.surrogate_model import Floats
from envs.batch_modules import Bools, Ints


def surrogate(search: Search) -> None:
    """Judge what a model of the word losses proposes; see `agents.search.search.Strategy`."""
    lasts = np.array([len(prices) - 1 for prices in search.budget.weights])
    search_in_model(search, lambda losses, rng: RandomMutation(lasts, rng))


@dataclass(frozen=True, slots=True)
class RandomMutation:
    """Mutates as `agents.strategies.baselines.evolution` does; implements `model_search.Mutation`.

    Attributes:
        lasts: [n_layers] last entry of each menu.
        rng: draws.
    """

    lasts: Ints
    rng: np.random.Generator

    def __call__(self, plans: Ints) -> tuple[Ints, Bools]:
        """[n, n_layers] `plans`, mutated, and which entries were."""
        n, n_layers = plans.shape
        mutated = self.rng.random(plans.shape) < mutated_share(n_layers)
        mutated[np.arange(n), self.rng.integers(n_layers, size=n)] = True
        steps = self.rng.integers(1, MAX_STEP + 1, plans.shape) * self.rng.choice([-1, 1], plans.shape)
        return np.clip(np.where(mutated, plans + steps, plans), 0, self.lasts), mutated

    def learn_(self, gains: Floats) -> None:
        """Chance learns nothing."""
