import copy

import pytest
import torch

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.quantizer import MOMENTUM, Quantizer


@pytest.fixture
def quantizer():
    return Quantizer(ActivationSpec()).eval()


def test_its_range_is_the_running_one_of_batches(quantizer):
    quantizer.watching = True
    quantizer(torch.tensor([-1.0, 4.0]))
    assert (quantizer.low, quantizer.high) == (-1.0, 4.0)
    quantizer(torch.tensor([-3.0, 2.0]))
    assert float(quantizer.low) == pytest.approx(MOMENTUM * -1 + (1 - MOMENTUM) * -3)
    assert float(quantizer.high) == pytest.approx(MOMENTUM * 4 + (1 - MOMENTUM) * 2)


def test_while_it_watches_nothing_is_rounded(quantizer):
    x = torch.rand(100)
    quantizer.watching = True
    assert torch.equal(quantizer(x), x)
    quantizer.watching = False
    assert not torch.equal(quantizer(x), x)
    assert len(quantizer(x).unique()) > 50


def test_the_range_follows_in_training_and_stays_in_evaluation(quantizer):
    quantizer.train()(torch.tensor([0.0, 1.0]))
    assert quantizer(torch.tensor([0.0, 11.0]))[1] == pytest.approx(2.0), "clamped at the range so far"
    quantizer.eval()(torch.tensor([0.0, 100.0]))
    assert float(quantizer.high) == pytest.approx(2.0)


def test_a_range_that_changed_is_rounded_to_at_once(quantizer):
    quantizer.train()(torch.tensor([0.0, 1.0]))
    quantizer.eval()
    before = quantizer(torch.tensor([0.5]))
    other = copy.deepcopy(quantizer)
    other.load_state_dict({"low": torch.tensor(0.0), "high": torch.tensor(0.25)})
    assert other(torch.tensor([0.5])) == 0.25
    assert quantizer(torch.tensor([0.5])) == before


def test_no_numbers_leave_no_range(quantizer):
    quantizer.train()(torch.empty(2, 0))
    assert quantizer.is_empty
