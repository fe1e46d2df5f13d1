import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.models.transducer.cascaded_encoder import CausalEncoder, Encoded, LookAheadEncoder
from shrinkml.plan.compression_plan import CompressionPlan

FRAMES = (37, 80, 3, 64)


def speech():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(frames, 6, generator=generator) for frames in FRAMES]


@pytest.fixture
def causal():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CausalEncoder(6, 4, 10, (1, 2, 1), dropout=0.5).eval()


@pytest.fixture
def look_ahead():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LookAheadEncoder(10, 5, dropout=0.5).eval()


def low_rank(model):
    ranks = {layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))


@torch.no_grad()
def test_a_state_stands_for_eight_frames_the_last_ones_filled_up(causal):
    assert causal.frames_per_step == 8
    states, counts = causal(speech())
    assert counts.tolist() == [5, 10, 1, 8]
    assert states.shape == (4, 10, 10)
    assert states[0, 5:].abs().max() == 0.0


@torch.no_grad()
@pytest.mark.parametrize("form", ["dense", "low rank"])
def test_the_states_of_an_utterance_do_not_depend_on_its_batch(causal, form):
    encoder = causal if form == "dense" else low_rank(causal)
    states, counts = encoder(speech())
    for row, count, alone in zip(states, counts, speech(), strict=True):
        torch.testing.assert_close(row[:count], encoder([alone]).states[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_causal_state_does_not_change_with_what_comes_later(causal):
    (utterance,) = speech()[1:2]
    other = utterance.clone()
    other[40:] = 9.0
    before, after = causal([utterance]).states[0], causal([other]).states[0]
    torch.testing.assert_close(after[:5], before[:5])
    assert (after[5] - before[5]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("form", ["dense", "low rank"])
def test_going_on_from_a_state_gives_the_states_of_the_whole(causal, form, steps):
    encoder = causal if form == "dense" else low_rank(causal)
    utterance = speech()[1]
    parts, state = [], None
    for piece in utterance.split(steps * encoder.frames_per_step):
        states, state = encoder.go_on(piece, state)
        parts.append(states)
    torch.testing.assert_close(torch.cat(parts, 1), encoder([utterance]).states, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_looking_ahead_every_state_changes_with_the_last(look_ahead):
    states = torch.randn(1, 6, 10, generator=torch.Generator().manual_seed(2))
    other = states.clone()
    other[0, -1] += 1.0
    found = [look_ahead(Encoded(one, torch.tensor([6]))).states for one in (states, other)]
    assert found[0].shape == states.shape
    assert ((found[1] - found[0]).abs().amax(2) > 0).all()


@torch.no_grad()
def test_looking_ahead_ends_where_the_utterance_does(look_ahead):
    states = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(2))
    together = look_ahead(Encoded(states, torch.tensor([6, 4])))
    alone = look_ahead(Encoded(states[1:, :4], torch.tensor([4])))
    torch.testing.assert_close(together.states[1:, :4], alone.states)
    assert together.counts.tolist() == [6, 4]


def test_dropout_is_for_training(causal):
    causal.train()
    assert not torch.equal(causal(speech()).states, causal(speech()).states)
