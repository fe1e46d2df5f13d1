import torch

from shrinkml.models.transformer.feed_forward import FeedForward


def test_a_step_passes_two_layers_and_a_relu():
    torch.manual_seed(0)
    block, states = FeedForward(4, 6, dropout=0.5).eval(), torch.randn(2, 3, 4)
    inner = (states @ block.inner.weight.T + block.inner.bias).clamp(min=0)
    torch.testing.assert_close(block(states), inner @ block.outer.weight.T + block.outer.bias)


def test_units_are_dropped_in_training_alone():
    torch.manual_seed(0)
    block, states = FeedForward(4, 6, dropout=0.5), torch.randn(2, 3, 4)
    assert not torch.equal(block(states), block(states))
    assert torch.equal(block.eval()(states), block(states))
