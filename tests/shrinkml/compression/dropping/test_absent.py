import torch
from torch import nn

from shrinkml.compression.dropping.absent import Absent, HandsOn
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost

X = torch.randn(2, 3, 4)


def absent(module, **how):
    return Absent(module, Choice(dropped=True, **how), Cost(1, 4))


def test_it_adds_nothing_whatever_is_added_to():
    assert torch.equal(X + absent(nn.Linear(4, 4))(X), X)
    assert torch.equal(X + absent(nn.Linear(4, 4))(hidden_states=X), X)


def test_it_gives_as_many_values_as_the_module_gave():
    first, *others = absent(nn.Linear(4, 4), returns=3)(X, X)
    assert torch.equal(X + first, X)
    assert others == [None, None]


def test_what_stood_before_it_hands_on_what_it_takes():
    assert HandsOn(nn.LayerNorm(4))(X) is X


def test_settings_are_kept_and_weights_are_not():
    attention = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    attention.layer_idx = 7
    left = absent(attention)
    assert (left.num_heads, left.batch_first, left.layer_idx, left.training) == (2, True, 7, False)
    assert not [*left.parameters(), *left.children()]


def test_a_cache_counts_the_steps_and_holds_zeros_of_the_shape_asked_for():
    from transformers import DynamicCache, EncoderDecoderCache

    module = nn.Linear(4, 4)
    module.layer_idx = 0
    left, cache = absent(module, returns=2), EncoderDecoderCache(DynamicCache(), DynamicCache())
    for _ in range(2):
        left(X, past_key_values=cache)
        left(X, past_key_values=cache, key_value_states=X)
    assert cache.get_seq_length() == 6
    assert cache.cross_attention_cache.get_seq_length() == 0
    left.heads = (2, 5)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    left(X, past_key_values=cache, key_value_states=torch.ones(2, 9, 4))
    assert cache.cross_attention_cache.layers[0].keys.shape == (2, 2, 9, 5)
