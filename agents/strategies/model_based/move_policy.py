"""The policy of `dyna`: a small net that looks at one layer of a plan and draws its move."""

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agents.search.search_result import Policy
from agents.strategies.baselines.evolution import mutated_share
from agents.strategies.model_based.kept_policy import HIDDEN_UNITS, SHAPES, as_policy
from agents.strategies.model_based.move_features import MOVES, N_FEATURES
from agents.strategies.model_based.surrogate_model import Floats
from envs.batch_modules import Bools, Ints
from envs.observation import KINDS

LEARNING_RATE = 1e-2  # Adam's; 3e-3 was as good on toys of a recogniser
ENT_COEF = 0.01  # per plan, in nats of all its layers; without it, 3e-2 and this ended about alike
BEST = 0.2  # of a batch, what is learned from; from all of it, ended worse
LEAST_SPREAD = 1e-6  # of gains; smaller ones are all alike
KEEP = len(MOVES) // 2  # index of the move that leaves a layer alone
IMPOSSIBLE = -1e9  # logit of a move that leaves the menu


class MovePolicy:
    """A distribution over moves for every layer of a plan, and how it learns.

    Args:
        n_layers: of the plans; an untrained policy moves as many of them as evolution does.
        seed: of its first weights.
        start: what another policy's `to_json` gave, to go on from.

    Raises:
        ConfigError: `start` is no such thing.
    """

    def __init__(self, n_layers: int, *, seed: int, start: Policy | None = None) -> None:
        self._net = _untrained(n_layers, seed)
        if start is not None:
            weights = as_policy(start)
            self._net.load_state_dict({name: torch.tensor(weights[name]) for name in SHAPES})
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr=LEARNING_RATE)
        self._last: tuple[Tensor, Tensor] | None = None  # [n] log probability of each plan's moves, and mean entropy

    def sample(self, features: npt.NDArray[np.float32], allowed: Bools, rng: np.random.Generator) -> Ints:
        """[n, n_layers] indices of MOVES, for [n, n_layers, N_FEATURES] features and what is `allowed` of each move."""
        logits = self._net(torch.from_numpy(features)).masked_fill(~torch.from_numpy(allowed), IMPOSSIBLE)
        logs = logits.log_softmax(-1)
        moves = (logs.detach() + torch.from_numpy(rng.gumbel(size=allowed.shape))).argmax(-1)
        taken = logs.gather(2, moves[:, :, None])[:, :, 0].sum(1)
        self._last = taken, -(logs.exp() * logs).sum((1, 2)).mean()
        sampled: Ints = moves.numpy()
        return sampled

    def learn_(self, gains: Floats) -> None:
        """Step along the risk-seeking policy gradient; `gains` [n] of the plans last sampled: losses teach nothing."""
        assert self._last is not None, "nothing was sampled"
        if not len(gains):
            return
        above = np.maximum(gains - max(0.0, float(np.quantile(gains, 1.0 - BEST))), 0.0)
        spread = max(float(above.std()), LEAST_SPREAD)
        taken, entropy = self._last
        loss = -(torch.from_numpy(above / spread).float() * taken).mean() - ENT_COEF * entropy
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def to_json(self) -> Policy:
        """Its weights as plain JSON values, and the kinds that their first columns are of."""
        weights = {name: weight.tolist() for name, weight in self._net.state_dict().items()}
        return {**weights, "kinds": list(KINDS)}


def _untrained(n_layers: int, seed: int) -> nn.Sequential:
    """A net that moves each layer with the probability with which evolution mutates it, whatever it sees."""
    torch.manual_seed(seed)
    hidden, moves = nn.Linear(N_FEATURES, HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, len(MOVES))
    keep = 1.0 - mutated_share(n_layers)
    with torch.no_grad():
        moves.weight.zero_()
        moves.bias.zero_()
        moves.bias[KEEP] = math.log((len(MOVES) - 1) * keep / (1.0 - keep))
    return nn.Sequential(OrderedDict(hidden=hidden, tanh=nn.Tanh(), moves=moves))
