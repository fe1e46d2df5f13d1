import pytest
import torch
from torch import nn

from shrinkml.models.transformer.multi_head import KeysValues, MultiHead, joined


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return MultiHead(8, 2).eval()


@pytest.fixture
def torchs(attention):
    """Torch's own, with the same weights."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad():
        parts = (attention.query, attention.key, attention.value)
        layer.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        layer.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        layer.out_proj.load_state_dict(attention.out.state_dict())
    return layer


def test_it_attends_as_torchs(attention, torchs):
    asking, states = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    inside = torch.arange(6) < torch.tensor([6, 2, 5])[:, None]
    expected, _ = torchs(asking, states, states, key_padding_mask=~inside)
    torch.testing.assert_close(attention(asking, attention.remember(states), inside[:, None, None]), expected)


def test_without_a_mask_all_is_seen(attention, torchs):
    states = torch.randn(2, 5, 8)
    torch.testing.assert_close(attention(states, attention.remember(states)), torchs(states, states, states)[0])


def test_keys_and_values_of_more_steps_come_behind(attention):
    states = torch.randn(2, 5, 8)
    both = attention.remember(states[:, :3]).then(attention.remember(states[:, 3:]))
    assert isinstance(both, KeysValues)
    for part, whole in zip(both, attention.remember(states), strict=True):
        torch.testing.assert_close(part, whole)


def test_heads_are_joined_as_they_were_split(attention):
    states = torch.randn(2, 5, 8)
    torch.testing.assert_close(joined(attention.remember(states).values), attention.value(states))
