import torch
from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.observing import observe_
from shrinkml.activations.places import attach_
from shrinkml.models.transformer.norm import Norm

X = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))


def norm(bits):
    """A norm of any gain and bias, rounded so after X; and torch's own."""
    torch.manual_seed(1)
    theirs, ours = nn.LayerNorm(16), Norm(16)
    nn.init.normal_(theirs.weight, 1.0, 0.2)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    if bits:
        attach_(ours.eval(), ActivationSpec(bits))
        observe_(ours, lambda: ours(X))
    return ours, theirs


def test_without_rounding_it_is_torchs():
    ours, theirs = norm(None)
    assert torch.equal(ours(X), theirs(X))


@torch.no_grad()
def test_in_8_bits_it_is_nearly_torchs_and_in_4_less_so():
    errors = [float((ours(X) - theirs(X)).abs().max()) for ours, theirs in map(norm, (8, 4))]
    assert 0 < errors[0] < 0.1 < errors[1]


def test_a_constant_input_gives_the_bias_and_no_nan():
    """Its root is next to nothing, which rounds to 0."""
    ours, theirs = norm(8)
    torch.testing.assert_close(ours(torch.full((1, 16), 2.0)), theirs.bias[None])
