"""The oracle is torch's own attention."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.inventory import list_parameters
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.layers.attention import SplitAttention, split_attention
from shrinkml.layers.linear import FormLinear
from shrinkml.plan.compression_plan import CompressionPlan

DIMS, HEADS, TIME, KEYS, BATCH = 12, 3, 5, 4, 2
CLOSE = {"atol": 1e-5, "rtol": 0}


def masks(kind, shape, generator):
    """None, or what hides some keys but the first."""
    if kind == "none":
        return None
    hidden = torch.rand(shape, generator=generator) < 0.5
    hidden[..., 0] = False
    return hidden if kind == "bool" else torch.randn(shape, generator=generator).masked_fill(hidden, -torch.inf)


@settings(deadline=None, max_examples=60)
@given(
    batch_first=st.booleans(),
    bias=st.booleans(),
    widths=st.sampled_from([(None, None), (7, 9)]),
    batched=st.booleans(),
    need_weights=st.booleans(),
    average=st.booleans(),
    attn=st.sampled_from(["none", "bool", "float"]),
    per_head=st.booleans(),
    padding=st.sampled_from(["none", "bool", "float"]),
    seed=st.integers(0, 99),
)
def test_outputs_and_weights_are_those_of_torchs_attention(
    batch_first, bias, widths, batched, need_weights, average, attn, per_head, padding, seed
):
    torch.manual_seed(seed)
    kdim, vdim = widths
    attention = nn.MultiheadAttention(DIMS, HEADS, bias=bias, kdim=kdim, vdim=vdim, batch_first=batch_first).eval()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    n = BATCH if batched else 1
    inputs = [torch.randn(n, t, d) for t, d in ((TIME, DIMS), (KEYS, kdim or DIMS), (KEYS, vdim or DIMS))]
    inputs = [x[0] if not batched else x if batch_first else x.transpose(0, 1) for x in inputs]
    generator = torch.Generator().manual_seed(seed)
    shape = (n * HEADS, TIME, KEYS) if per_head else (TIME, KEYS)
    attn_mask = masks(attn, shape, generator)
    padding = masks("float" if padding != "none" and attn == "float" else padding, (n, KEYS), generator)
    if attn == "bool" and padding is not None:
        padding = padding if padding.dtype == torch.bool else padding == -torch.inf  # torch asks for one kind
    options = {
        "attn_mask": attn_mask,
        "key_padding_mask": padding if padding is None or batched else padding[0],
        "need_weights": need_weights,
        "average_attn_weights": average,
    }
    with torch.no_grad():
        expected, found = attention(*inputs, **options), split_attention(attention)(*inputs, **options)
    torch.testing.assert_close(found[0], expected[0], **CLOSE)
    assert (found[1] is None) == (expected[1] is None) == (not need_weights)
    if need_weights:
        torch.testing.assert_close(found[1], expected[1], **CLOSE)


def test_the_hint_of_a_causal_mask_is_refused_without_one_as_torch_does():
    attention, x = nn.MultiheadAttention(DIMS, HEADS), torch.randn(TIME, BATCH, DIMS)
    for one in (attention, split_attention(attention)):
        with pytest.raises(RuntimeError, match="attn_mask"):
            one(x, x, x, is_causal=True, need_weights=False)


def transformer():
    torch.manual_seed(0)
    return nn.Transformer(16, 2, 1, 2, 32, batch_first=True).eval()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # by which the oracle skips padding
def test_a_transformer_computes_the_same_where_nothing_is_padding():
    model = transformer()
    source, target = torch.randn(2, 6, 16), torch.randn(2, 4, 16)
    padded = torch.arange(6) >= torch.tensor([[6], [4]])
    options = {
        "tgt_mask": nn.Transformer.generate_square_subsequent_mask(4),
        "tgt_is_causal": True,
        "src_key_padding_mask": padded,
        "memory_key_padding_mask": padded,
    }
    split = split_attention(model)
    assert sum(isinstance(module, SplitAttention) for module in split.modules()) == 5
    with torch.no_grad():
        torch.testing.assert_close(split(source, target), model(source, target), **CLOSE)
        torch.testing.assert_close(
            split(source, target, **options), model(source, target, **{**options, "tgt_is_causal": None}), **CLOSE
        )


def test_the_model_is_left_as_it_is():
    model = transformer()
    before = copy.deepcopy(model.state_dict())
    split_attention(model)
    assert not any(isinstance(module, SplitAttention) for module in model.modules())
    assert model.encoder.use_nested_tensor
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_each_projection_is_a_layer_and_query_key_and_value_share_what_is_known_of_their_inputs():
    split = split_attention(nn.TransformerEncoderLayer(16, 2, 32, batch_first=False).eval())
    names = [f"self_attn.{part}_proj.weight" for part in ("q", "k", "v", "out")]
    assert [layer.name for layer in find_layers(split)][:4] == names
    assert {note.verdict for note in list_parameters(split) if note.name in names} == {"factorizable"}
    stats = calibrate(split, lambda: split(torch.randn(9, 2, 16)))
    assert stats[names[0]] is stats[names[1]] is stats[names[2]]


def test_projections_are_called_once_they_are_factorized(monkeypatch):
    split = split_attention(nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2).eval())
    plan = CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(split)})
    small = factorize(split, plan, decompose(split))
    monkeypatch.setattr(FormLinear, "weight", property(lambda self: pytest.fail("the factors were multiplied out")))
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        torch.testing.assert_close(small(x), split(x), **CLOSE)
    reopened = reshape(split_attention(copy.deepcopy(split)), plan)
    reopened.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(reopened(x), small(x))


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}], ids=["bias", "zeros"])
def test_attention_that_adds_to_keys_and_values_is_left(options):
    attention = nn.MultiheadAttention(DIMS, HEADS, **options)
    assert type(split_attention(attention)) is nn.MultiheadAttention


def test_attention_that_shares_its_weights_is_left_and_a_module_at_two_places_stays_one():
    one, other = nn.MultiheadAttention(DIMS, HEADS), nn.MultiheadAttention(DIMS, HEADS)
    other.in_proj_weight = one.in_proj_weight
    tied = split_attention(nn.ModuleList([one, other]))
    assert tied[0].in_proj_weight is tied[1].in_proj_weight


def test_trainability_and_mode_are_kept_and_weights_drop_out_in_training():
    attention = nn.MultiheadAttention(DIMS, HEADS, dropout=0.5).train()
    attention.in_proj_weight.requires_grad_(False)
    split = split_attention(attention)
    assert (split.training, split.q_proj.weight.requires_grad, split.q_proj.bias.requires_grad) == (True, False, True)
    x = torch.randn(TIME, BATCH, DIMS)
    torch.manual_seed(0)
    expected = attention(x, x, x)
    torch.manual_seed(0)
    found = split(x, x, x)
    assert bool((found[1] == 0.0).any()) == bool((expected[1] == 0.0).any())
    assert not torch.equal(split(x, x, x)[0], found[0])
    assert torch.equal(split.eval()(x, x, x)[0], split(x, x, x)[0])


def test_what_is_left_of_attention_says_how_it_can_be_factorized():
    notes = {note.name: note.why for note in list_parameters(nn.MultiheadAttention(DIMS, HEADS))}
    assert "split_attention" in notes["in_proj_weight"]
