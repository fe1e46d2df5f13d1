"""The observation: features of the decision that an agent makes next, of the budget and of the choices so far."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.budget import Budget
from envs.decision import Decision, PerOption
from shrinkml.plan.layer_spec import LayerKind

KINDS: tuple[str, ...] = get_args(LayerKind)
LEAST_LOSS = 1e-5  # as a share of the largest; less is none
LOG2_LARGEST_SIDE = 20.0  # a million rows or columns map to 1

Observation = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Observer:
    """Turns the state of an episode into features.

    | columns | what | range |
    |---|---|---|
    | n_layers | which decision is made now; all 0 after the last | 0 or 1 |
    | 4 | its kind (KINDS: linear, LSTM input, LSTM recurrent, embedding); all 0 for others | 0 or 1 |
    | 2 | log2 of its rows and of its columns, over 20 | [0, 1] |
    | 1 | its share of all dense weights | [0, 1] |
    | longest menu | energy that each entry keeps; 1 beyond a shorter menu's end | [0, 1] |
    | longest menu | expected loss of each entry (see `_loss_features`); 0 where none | [0, 1] |
    | 1 | budget left for the layers not settled yet | [0, 1] |
    | 1 | budget left when those take their cheapest entry, 1 at the start | [0, 1] |
    | n_layers | entry of every layer, from first (-1) to last (1) of its menu | [-1, 1] |
    | n_layers | 1 where a layer's entry is settled by a choice in this episode | 0 or 1 |

    Attributes:
        budget: prices and limit.
        decisions: in forward order.
        energies: that each option keeps.
        losses: expected of each option.
    """

    budget: Budget
    decisions: tuple[Decision, ...]
    energies: PerOption
    losses: PerOption

    @property
    def space(self) -> "spaces.Box[np.float32]":
        """The observation space."""
        n, menu = len(self.decisions), self._longest_menu
        low = np.concatenate([np.zeros(n + len(KINDS) + 3 + 2 * menu + 2), -np.ones(n), np.zeros(n)])
        return spaces.Box(low.astype(np.float32), np.ones(len(low), dtype=np.float32), dtype=np.float32)

    def observe(self, layer: int, entries: Sequence[int], pinned: Collection[int]) -> Observation:
        """The features before `layer` chooses; `layer` is n_layers after the last choice."""
        features = np.concatenate(
            (
                self._layer_features(layer),
                self._budget_features(entries, pinned),
                self._plan_features(entries, pinned),
            )
        )
        return np.clip(features, -1.0, 1.0).astype(np.float32)

    def _layer_features(self, index: int) -> npt.NDArray[np.float64]:
        which = np.eye(len(self.decisions) + 1)[index, :-1]
        if index == len(self.decisions):
            return np.concatenate([which, np.zeros(len(KINDS) + 3 + 2 * self._longest_menu)])
        decision = self.decisions[index]
        sides = [math.log2(side) / LOG2_LARGEST_SIDE for side in decision.shape]
        share = math.prod(decision.shape) / sum(math.prod(other.shape) for other in self.decisions)
        kept = np.ones(self._longest_menu)
        kept[: len(self.energies[index])] = self.energies[index]
        return np.concatenate([which, one_hot(decision.kind), sides, [share], kept, self._loss_features(index)])

    def _loss_features(self, index: int) -> npt.NDArray[np.float64]:
        """[longest menu] logarithms of a decision's losses, from LEAST_LOSS of the largest of all (0) to that (1).

        So decisions can be compared.
        """
        most = max(map(max, self.losses))
        shares = np.zeros(self._longest_menu)
        if most > 0.0:
            shares[: len(self.losses[index])] = np.asarray(self.losses[index]) / most
        features: npt.NDArray[np.float64] = 1.0 - np.log(np.maximum(shares, LEAST_LOSS)) / np.log(LEAST_LOSS)
        return features

    def _budget_features(self, entries: Sequence[int], pinned: Collection[int]) -> npt.NDArray[np.float64]:
        budget, limit = self.budget, self.budget.limit
        least = [entry if layer in pinned else 0 for layer, entry in enumerate(entries)]
        there = [layer for layer in range(len(least)) if not budget.is_gone(layer, least)]
        settled = sum(budget.weights[layer][entries[layer]] for layer in there if layer in pinned)
        unsettled = sum(budget.weights[layer][0] for layer in there if layer not in pinned)
        at_first = budget.cheapest
        first = (prices[0] for i, prices in enumerate(budget.weights) if not budget.is_gone(i, at_first))
        choice_at_start = limit - sum(first)
        choice = (limit - settled - unsettled) / choice_at_start if choice_at_start else 0.0
        return np.array([(limit - settled) / limit, choice])

    def _plan_features(self, entries: Sequence[int], pinned: Collection[int]) -> npt.NDArray[np.float64]:
        lasts = np.array([max(1, len(prices) - 1) for prices in self.budget.weights])
        settled = np.array([float(layer in pinned) for layer in range(len(self.decisions))])
        return np.concatenate([2.0 * np.asarray(entries) / lasts - 1.0, settled])

    @property
    def _longest_menu(self) -> int:
        return max(len(prices) for prices in self.budget.weights)


def one_hot(kind: str) -> npt.NDArray[np.float64]:
    """[n kinds] 1 at `kind`; all 0 for a kind that is not among KINDS."""
    return np.array([float(kind == known) for known in KINDS])
