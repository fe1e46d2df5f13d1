"""Torch as strategies need it: the same seed, the same plans. Importing this loads torch."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def reproducible() -> Iterator[None]:
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
