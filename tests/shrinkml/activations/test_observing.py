import pytest
import torch

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.observing import observe_, ranges_kept
from shrinkml.activations.places import attach_, quantizers
from shrinkml.errors import CalibrationError
from shrinkml.models.transformer.feed_forward import FeedForward


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = FeedForward(4, 6, dropout=0.0).eval()
    attach_(block, ActivationSpec())
    return block


def test_ranges_are_those_of_the_model_as_it_is(block):
    plain = FeedForward(4, 6, dropout=0.0).eval()
    plain.load_state_dict(block.state_dict(), strict=False)
    x = torch.randn(3, 4)
    observe_(block, lambda: block(x))
    ((_, found),) = quantizers(block)
    assert (found.low, found.high) == tuple(plain(x).aminmax())
    assert not found.watching
    assert not torch.equal(block(x), plain(x))


def test_a_place_that_is_not_reached_is_an_error(block):
    with pytest.raises(CalibrationError, match=r"did not reach activations\.output"):
        observe_(block, lambda: None)


def test_numbers_that_are_not_finite_are_an_error(block):
    with pytest.raises(CalibrationError, match=r"activations\.output got NaN or infinite numbers"):
        observe_(block, lambda: block(torch.full((1, 4), torch.inf)))


def test_after_an_error_it_rounds_as_before(block):
    x = torch.randn(3, 4)
    observe_(block, lambda: block(x))
    before = block(x)
    with pytest.raises(RuntimeError, match="no speech"):
        observe_(block, _fail)
    assert torch.equal(block(x), before)


def test_what_is_run_for_its_cost_alone_leaves_ranges_as_they_were(block):
    x = torch.randn(3, 4)
    observe_(block, lambda: block(x))
    before = block(x)
    with ranges_kept(block.train()):
        block(100 * x)
        assert not torch.equal(block(x), before)
    assert torch.equal(block.eval()(x), before)


def _fail():
    raise RuntimeError("no speech")
