"""A policy that learns inside a learned model of the evaluations which choices to move, and which is kept.

As `agents.strategies.model_based.surrogate`, but what mutates plans in the model is a policy: it sees each layer of a
plan (`agents.strategies.model_based.move_features`), moves it up or down its menu or leaves it alone, and is rewarded
by how much word loss that takes away in the model, within the budget. In terms of `envs.plan_env.PlanEnv`, an episode
deviates from a good plan, its reward is `log_damage`, and thousands of them are run in batches. It learns by REINFORCE
(Williams 1992) from the best of each batch alone, for it is these that are judged: the risk-seeking policy gradient
(Petersen et al. 2021,
arXiv:1912.04871). Before it has learned anything it mutates about as evolution does.

The features are the same for every model, so a policy that was learned at one step, ratio or model starts the search
of another: `policy` in what `search_plans` takes and gives. Whether that pays, `make bench-transfer` shows.
"""

from typing import TYPE_CHECKING

import numpy as np

from agents.search.search import Search
from agents.search.search_result import Policy
from agents.strategies.model_based.model_search import Mutation, search_in_model
from agents.strategies.model_based.move_features import MOVES, MoveFeatures
from agents.strategies.model_based.surrogate import RandomMutation
from agents.strategies.model_based.surrogate_model import Floats
from envs.batch_modules import Bools, Ints
from envs.decision import PerOption

if TYPE_CHECKING:
    from agents.strategies.model_based.move_policy import MovePolicy


def dyna(search: Search) -> Policy:
    """Judge what a policy finds in a model of the word losses; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from agents.strategies.agents.reproducible import reproducible
    from agents.strategies.model_based.move_policy import MovePolicy

    with reproducible():
        policy = MovePolicy(len(search.budget.names), seed=search.seed, start=search.policy)

        def mutation(losses: PerOption, rng: np.random.Generator) -> Mutation:
            features = MoveFeatures.of(search.problem.decisions, search.budget, losses)
            return LearnedMutation(policy, features, rng)

        search_in_model(search, mutation)
    return policy.to_json()


class LearnedMutation:
    """Moves the layers of every other plan as a policy says; implements `model_search.Mutation`.

    The others are mutated at random, and so are plans that the policy would leave as they are: what it does not think
    of any more would not come back otherwise.
    """

    def __init__(self, policy: "MovePolicy", features: MoveFeatures, rng: np.random.Generator) -> None:
        """Of plans with those `features`; draws from `rng`."""
        self._policy = policy
        self._features = features
        self._rng = rng
        self._random = RandomMutation(features.lasts, rng)
        self._moved: Bools = np.zeros(0, dtype=bool)  # [n // 2] which plans of the last call the policy moved

    def __call__(self, plans: Ints) -> tuple[Ints, Bools]:
        """[n, n_layers] `plans`, moved, and which layers were."""
        entries, mutated = self._random(plans)
        ours = plans[1::2]
        moves = MOVES[self._policy.sample(self._features.at(ours), self._features.allowed(ours), self._rng)]
        self._moved = (moves != 0).any(axis=1)
        moved = 1 + 2 * np.flatnonzero(self._moved)
        entries[moved], mutated[moved] = (ours + moves)[self._moved], (moves != 0)[self._moved]
        return entries, mutated

    def learn_(self, gains: Floats) -> None:
        """Makes the moves of the last call likelier that gained most, if they gained anything."""
        self._policy.learn_(np.where(self._moved, gains[1::2], 0.0))
