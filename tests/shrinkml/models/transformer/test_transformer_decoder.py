import pytest
import torch

from shrinkml.models.transformer.transformer_decoder import TransformerDecoder
from shrinkml.models.transformer.transformer_encoder import Heard
from shrinkml.models.transformer.transformer_shape import TransformerConfig

TINY = TransformerConfig(hidden=8, heads=2, feed_forward=12, decoder_layers=2, dropout=0.0)


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return TransformerDecoder(TINY, vocabulary=9).eval()


@pytest.fixture
def known(decoder):
    inside = torch.arange(5) < torch.tensor([5, 2])[:, None]
    return decoder.attend(Heard(torch.randn(2, 5, 8), inside))


def test_no_state_depends_on_a_later_token(decoder, known):
    tokens = torch.tensor([[1, 4, 5, 6], [1, 7, 8, 3]])
    changed = tokens.clone()
    changed[:, 2:] = 2
    before, after = (decoder(fed, (), known)[0] for fed in (tokens, changed))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_tokens_go_on_from_the_past_as_if_all_were_fed_at_once(decoder, known, cut):
    tokens = torch.tensor([[1, 4, 5, 6], [1, 7, 8, 3]])
    at_once, whole = decoder(tokens, (), known)
    _, past = decoder(tokens[:, :cut], (), known)
    rest, after = decoder(tokens[:, cut:], past, known)
    torch.testing.assert_close(rest, at_once[:, cut:])
    assert [part.shape for part in after] == [(2, 2, 4, 4)] * 4
    for part, other in zip(after, whole, strict=True):
        torch.testing.assert_close(part, other)


def test_it_hears_what_counts_alone(decoder):
    states = torch.randn(1, 5, 8)
    cut = decoder.attend(Heard(states[:, :3], torch.ones(1, 3, dtype=torch.bool)))
    masked = decoder.attend(Heard(states, torch.arange(5)[None] < 3))
    tokens = torch.tensor([[1, 4]])
    torch.testing.assert_close(decoder(tokens, (), masked)[0], decoder(tokens, (), cut)[0])
