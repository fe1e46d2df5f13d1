import pytest
import torch

from shrinkml.models.transformer.transformer_encoder import EncoderLayer, Heard, TransformerEncoder
from shrinkml.models.transformer.transformer_shape import TransformerConfig

TINY = {"n_mels": 6, "hidden": 8, "heads": 2, "feed_forward": 12, "reductions": (2, 2), "dropout": 0.0}


def encoder(**shape):
    torch.manual_seed(0)
    return TransformerEncoder(TransformerConfig(**{**TINY, "encoder_layers": 2, **shape})).eval()


def test_a_layer_normalises_before_each_block_and_adds_what_it_finds():
    torch.manual_seed(0)
    layer = EncoderLayer(TransformerConfig(**TINY)).eval()
    states, inside = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    normed = layer.attention_norm(states)
    after = states + layer.attention(normed, layer.attention.remember(normed))
    torch.testing.assert_close(layer(states, inside), after + layer.feed_forward(layer.feed_forward_norm(after)))


def test_a_memory_block_is_there_only_where_the_shape_has_one():
    assert encoder().layers["0"].memory is None
    assert encoder(memory=3).layers["0"].memory.filter.kernel_size == (3,)


def test_without_positions_and_windows_states_do_not_know_their_order():
    """With convolutions of whole windows a frame knows its neighbours: here the speech repeats one frame."""
    frames = torch.randn(1, 1, 6).expand(1, 40, 6).contiguous()
    for positions in (True, False):
        heard = encoder(encoder_positions=positions)(frames, torch.tensor([40]))
        assert torch.allclose(heard.states[:, 3], heard.states[:, 5], atol=1e-5) != positions


@pytest.mark.parametrize("memory", [0, 3])
def test_behind_its_end_an_utterance_is_not_heard(memory):
    network, counts = encoder(memory=memory), torch.tensor([18, 9])
    frames = torch.randn(2, 18, 6)
    frames[1, 9:] = 0
    heard, alone = network(frames, counts), network(frames[1:, :9], counts[1:])
    assert heard.inside.sum(1).tolist() == [5, 3]
    torch.testing.assert_close(heard.states[1, :3], alone.states[0])


def test_an_utterance_is_repeated_beside_itself():
    heard = Heard(torch.randn(2, 3, 4), torch.tensor([[True] * 3, [True, False, False]])).repeated(2)
    assert torch.equal(heard.states[0], heard.states[1])
    assert heard.inside.sum(1).tolist() == [3, 3, 1, 1]


def test_a_shared_layer_runs_at_each_of_its_places():
    """The oracle has a layer at each place, with copies of the weights."""
    shared, alone = encoder(encoder_layers=4, shared=((0, 1), (2, 3))), encoder(encoder_layers=4)
    assert list(shared.layers) == ["0", "2"]
    for place, name in enumerate(shared.places):
        alone.layers[str(place)].load_state_dict(shared.layers[name].state_dict())
    for part in ("subsampling", "norm"):
        getattr(alone, part).load_state_dict(getattr(shared, part).state_dict())
    frames, counts = torch.randn(2, 18, 6), torch.tensor([18, 18])
    torch.testing.assert_close(shared(frames, counts).states, alone(frames, counts).states)
