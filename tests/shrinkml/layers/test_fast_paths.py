import copy

import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.surgery import merge
from shrinkml.layers.linear import FormLinear
from shrinkml.plan.compression_plan import CompressionPlan


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # by which the oracle skips padding
@pytest.mark.parametrize("layer", ["layers.0.linear1.weight", "layers.1.linear2.weight"], ids=["first", "later"])
def test_torch_calls_low_rank_layers_where_it_would_read_their_weights(layer, monkeypatch):
    """The oracle is torch's own encoder with the products as weights, on frames that are no padding."""
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2).eval()
    small = factorize(model, CompressionPlan.of_ranks({layer: 4}), decompose(model))
    dense = copy.deepcopy(model)
    dense.load_state_dict(merge(small).state_dict())
    x, padded = torch.randn(2, 5, 16), torch.arange(5) >= torch.tensor([[5], [3]])
    monkeypatch.setattr(FormLinear, "weight", property(lambda self: pytest.fail("the factors were multiplied out")))
    with torch.no_grad():
        found = small(x), small(x, src_key_padding_mask=padded)[~padded]
        expected = dense(x), dense(x, src_key_padding_mask=padded)[~padded]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert model.use_nested_tensor
    assert all(part.activation_relu_or_gelu for part in model.layers)
