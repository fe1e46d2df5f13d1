import random

import numpy as np
import pytest
import torch

from agents.strategies.agents.reproducible import reproducible


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_all_and_fail():
    with reproducible():
        seed_all(7)
        raise ValueError("a search failed")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_global_random_states_are_as_before_afterwards():
    before = global_states()
    with reproducible():
        seed_all(7)
        assert global_states() != before
    assert global_states() == before


def test_an_error_inside_leaves_nothing_behind(two_threads):
    before = global_states()
    with pytest.raises(ValueError, match="a search failed"):
        seed_all_and_fail()
    assert global_states() == before
    assert torch.get_num_threads() == 2


def test_torch_has_one_thread_inside_and_its_own_number_afterwards(two_threads):
    with reproducible():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
