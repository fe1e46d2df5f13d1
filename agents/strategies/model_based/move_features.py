"""The features of each layer of a plan, by which a policy moves it: the same columns for every layer of every model.

Nothing here counts layers or menu entries, so what was learned of one problem can be asked of another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.strategies.baselines.evolution import MAX_STEP
from envs.batch_modules import Bools, Ints
from envs.budget import Budget
from envs.decision import Decision, PerOption
from envs.observation import KINDS, LOG2_LARGEST_SIDE, one_hot

Floats = npt.NDArray[np.float64]

MOVES = np.arange(-MAX_STEP, MAX_STEP + 1)  # menu entries that a layer goes up, all at once
N_FEATURES = len(KINDS) + 6 + 2 * len(MOVES)
LEAST_SHARE = 1e-4  # of a loss or a price; logarithms of less are those of this
CHANGES = 30.0  # a change by a thirtieth of the whole is where its scale turns from linear to logarithmic


@dataclass(frozen=True, slots=True)
class MoveFeatures:
    """Features of the layers of plans; all about -1 to 1.

    | columns | what |
    |---|---|
    | 4 | the layer's kind (linear, LSTM input, LSTM recurrent, embedding) |
    | 2 | log2 of its rows and of its columns, over 20 |
    | 1 | its place, from the first layer (-1) to the last (1) |
    | 1 | log of its share in the plan's loss, if losses add up |
    | 1 | log of its share in the budget |
    | 1 | its price over that of its last entry |
    | 7 | of each move: what it changes in loss, as a share of the plan's |
    | 7 | of each move: what it changes in price, as a share of the budget |

    Attributes:
        losses: [n_layers, longest menu] of each option alone, as expected before plans are judged.
        prices: [n_layers, longest menu] of each entry.
        lasts: [n_layers] last entry of each menu.
        limit: of the sum of prices.
        fixed: [n_layers, 7] the columns that plans do not change.
    """

    losses: Floats
    prices: Floats
    lasts: Ints
    limit: int
    fixed: Floats

    @classmethod
    def of(cls, decisions: Sequence[Decision], budget: Budget, losses: PerOption) -> "MoveFeatures":
        """Of the plans of `budget`, by the loss of each option."""
        lasts = np.array([len(prices) - 1 for prices in budget.weights])
        kinds = np.array([one_hot(decision.kind) for decision in decisions])
        sides = [[math.log2(side) / LOG2_LARGEST_SIDE for side in decision.shape] for decision in decisions]
        places = np.linspace(-1.0, 1.0, len(decisions))[:, None]
        fixed = np.concatenate([kinds, np.array(sides), places], axis=1)
        return cls(_rectangle(losses), _rectangle(budget.weights), lasts, budget.limit, fixed)

    def allowed(self, plans: Ints) -> Bools:
        """[n, n_layers, n_moves] which moves stay on the menus, of `plans` [n, n_layers]."""
        entries = plans[:, :, None] + MOVES
        allowed: Bools = (entries >= 0) & (entries <= self.lasts[:, None])
        return allowed

    def at(self, plans: Ints) -> npt.NDArray[np.float32]:
        """[n, n_layers, N_FEATURES] of the layers of `plans` [n, n_layers]."""
        layers = np.arange(len(self.lasts))
        losses, prices = self.losses[layers, plans], self.prices[layers, plans]
        total = np.maximum(losses.sum(axis=1, keepdims=True), LEAST_SHARE)
        shares = [
            np.log(losses / total + LEAST_SHARE) / -math.log(LEAST_SHARE),
            np.log(prices / self.limit + LEAST_SHARE) / -math.log(LEAST_SHARE),
            prices / np.maximum(self.prices[layers, self.lasts], 1.0),
        ]
        moved = np.clip(plans[:, :, None] + MOVES, 0, self.lasts[:, None])
        changes = [
            _squashed((self.losses[layers[:, None], moved] - losses[:, :, None]) / total[:, :, None]),
            _squashed((self.prices[layers[:, None], moved] - prices[:, :, None]) / self.limit),
        ]
        fixed = np.broadcast_to(self.fixed, (len(plans), *self.fixed.shape))
        return np.concatenate([fixed, np.stack(shares, axis=2), *changes], axis=2).astype(np.float32)


def _squashed(change: Floats) -> Floats:
    """A change of all is 1, of none 0; small ones are told apart, as changes of opposite sign are."""
    squashed: Floats = np.arcsinh(CHANGES * change) / math.asinh(CHANGES)
    return squashed


def _rectangle(rows: Sequence[Sequence[float]]) -> Floats:
    """[n_rows, longest] with 0 beyond the end of a row."""
    longest = max(map(len, rows))
    return np.array([[*row, *[0.0] * (longest - len(row))] for row in rows])
