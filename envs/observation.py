"""What the agent sees before it chooses a layer's rank."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.budget import Budget
from envs.expectation import Harms
from envs.retained_energy import Energies
from shrinkml.plan.layer_spec import LayerKind, LayerSpec

KINDS: tuple[str, ...] = get_args(LayerKind)
LEAST_HARM = 1e-5  # as a share of the largest; less is none
LOG2_LARGEST_SIDE = 20.0  # a million rows or columns map to 1

Observation = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Observer:
    """Turns the state of an episode into features.

    | columns | what | range |
    |---|---|---|
    | n_layers | which layer chooses now; all 0 after the last | 0 or 1 |
    | 4 | its kind (linear, LSTM input, LSTM recurrent, embedding) | 0 or 1 |
    | 2 | log2 of its rows and of its columns, over 20 | [0, 1] |
    | 1 | its share of all dense weights | [0, 1] |
    | longest menu | energy that each entry keeps; 1 beyond a shorter menu's end | [0, 1] |
    | longest menu | what each entry is expected to harm (see `_harm_features`); 0 where nothing | [0, 1] |
    | 1 | budget left for the layers not settled yet | [0, 1] |
    | 1 | budget left when those take their cheapest entry, 1 at the start | [0, 1] |
    | n_layers | entry of every layer, from first (-1) to last (1) of its menu | [-1, 1] |
    | n_layers | whether a layer's entry is settled by a choice in this episode | 0 or 1 |

    Attributes:
        budget: prices and limit.
        layers: in forward order.
        energies: what each entry of each layer keeps.
        harms: what each entry of each layer is expected to cost in accuracy (`envs.expectation`).
    """

    budget: Budget
    layers: tuple[LayerSpec, ...]
    energies: Energies
    harms: Harms

    @property
    def space(self) -> "spaces.Box[np.float32]":
        """The observation space."""
        n, menu = len(self.layers), self._longest_menu
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
        which = np.eye(len(self.layers) + 1)[index, :-1]
        if index == len(self.layers):
            return np.concatenate([which, np.zeros(len(KINDS) + 3 + 2 * self._longest_menu)])
        layer = self.layers[index]
        kind = np.eye(len(KINDS))[KINDS.index(layer.kind)]
        sides = [math.log2(layer.out_features) / LOG2_LARGEST_SIDE, math.log2(layer.in_features) / LOG2_LARGEST_SIDE]
        share = layer.parameters / sum(other.parameters for other in self.layers)
        kept = np.ones(self._longest_menu)
        kept[: len(self.energies[index])] = self.energies[index]
        return np.concatenate([which, kind, sides, [share], kept, self._harm_features(index)])

    def _harm_features(self, index: int) -> npt.NDArray[np.float64]:
        """[longest menu] logarithms of a layer's harms, from LEAST_HARM of the largest of all layers (0) to that (1).

        So layers can be compared.
        """
        most = max(map(max, self.harms))
        shares = np.zeros(self._longest_menu)
        if most > 0.0:
            shares[: len(self.harms[index])] = np.asarray(self.harms[index]) / most
        features: npt.NDArray[np.float64] = 1.0 - np.log(np.maximum(shares, LEAST_HARM)) / np.log(LEAST_HARM)
        return features

    def _budget_features(self, entries: Sequence[int], pinned: Collection[int]) -> npt.NDArray[np.float64]:
        limit = self.budget.limit
        settled = sum(self.budget.weights[layer][entries[layer]] for layer in pinned)
        cheapest = [prices[0] for prices in self.budget.weights]
        unsettled = sum(price for layer, price in enumerate(cheapest) if layer not in pinned)
        choice_at_start = limit - sum(cheapest)
        choice = (limit - settled - unsettled) / choice_at_start if choice_at_start else 0.0
        return np.array([(limit - settled) / limit, choice])

    def _plan_features(self, entries: Sequence[int], pinned: Collection[int]) -> npt.NDArray[np.float64]:
        lasts = np.array([max(1, len(prices) - 1) for prices in self.budget.weights])
        settled = np.array([float(layer in pinned) for layer in range(len(self.layers))])
        return np.concatenate([2.0 * np.asarray(entries) / lasts - 1.0, settled])

    @property
    def _longest_menu(self) -> int:
        return max(len(prices) for prices in self.budget.weights)
