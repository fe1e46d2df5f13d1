"""What the Stable-Baselines3 agents share. Importing this loads torch."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import nn

from agents.strategies.recorder import Recorder

NO_LIMIT = 10**9  # steps; the recorder ends the search
SETTLED = 5  # plans in a row that were judged before, after which a policy counts as settled


class EndWhenSettled(BaseCallback):
    """Ends learning after an episode when the recorder has finished, or when the policy proposes nothing new."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._repeats = 0

    def _on_step(self) -> bool:
        if not self.locals["dones"][0]:
            return True
        self._repeats = self._repeats + 1 if self._recorder.repeats else 0
        return not self._recorder.finished and self._repeats < SETTLED


def learn(make_agent: Callable[[int], BaseAlgorithm], recorder: Recorder, *, seed: int) -> None:
    """Trains agents until the recorder has finished; prints nothing and writes no file.

    A policy earns most by proposing the best known plan again, which tells nothing new. When it has settled on that, a
    fresh agent takes over around the same plan.

    Args:
        make_agent: builds an untrained agent from a seed.
        recorder: the search's bookkeeping.
        seed: of the first agent.
    """
    seeds = np.random.default_rng(seed)
    with _reproducible():
        while not recorder.finished:
            agent = make_agent(int(seeds.integers(2**31)))
            agent.set_logger(Logger(folder=None, output_formats=[]))
            agent.learn(NO_LIMIT, callback=EndWhenSettled(recorder), log_interval=NO_LIMIT)


def prefer_action_(logits: nn.Module, action: int, probability: float) -> None:
    """Sets the last layer's bias so that an untrained policy takes `action` with `probability`, the rest evenly."""
    bias = logits.get_parameter("bias")
    with torch.no_grad():
        bias[action] = math.log((len(bias) - 1) * probability / (1.0 - probability))


@contextmanager
def _reproducible() -> Iterator[None]:
    """One torch thread, and the global random states as they were afterwards: Stable-Baselines3 seeds all of them.

    With several threads, sums differ in their last bits from run to run, and small nets are many times slower.
    """
    threads, python_state, numpy_state = torch.get_num_threads(), random.getstate(), np.random.get_state()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
