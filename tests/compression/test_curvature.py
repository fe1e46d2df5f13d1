"""The oracle is the divergence itself, of models whose outputs are one distribution per frame."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.curvature import expected_divergences
from shrinkml.compression.factorize import decompose
from shrinkml.compression.plan import RankPlan
from shrinkml.compression.surgery import factorize
from shrinkml.errors import PlanError

N_FRAMES = 20  # of each batch


def surprises(model, frames, *, draws=300):
    """Of `draws` batches that are the same but for the labels drawn."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        logits = model(frames)
        labels = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator).squeeze(1)
        yield F.cross_entropy(logits, labels, reduction="sum")


def divergence(model, other, frames):
    """KL(model || other), nats of all frames together."""
    with torch.no_grad():
        given, found = (one(frames).log_softmax(-1) for one in (model, other))
        return float(F.kl_div(found, given, reduction="sum", log_target=True))


@pytest.fixture
def frames():
    return 0.5 + torch.randn(N_FRAMES, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 8))
    with torch.no_grad():
        model[0].weight.mul_(0.3)  # small cuts, for which a second order is enough
    return model


def statistics(frames):
    return {"0.weight": LayerStats(frames.T @ frames, frames.sum(0), len(frames))}


@pytest.mark.parametrize("factorizer", ["svd", "pca"])  # pca leaves a part of what it cuts to the bias
def test_it_is_the_divergence_of_the_outputs(model, frames, factorizer):
    found = decompose(model, factorizer, statistics(frames))
    expected = expected_divergences(model, found, surprises(model, frames))["0.weight"]
    assert len(expected) == 6
    for rank in range(1, 5):
        cut = factorize(model, RankPlan({"0.weight": rank}), found)
        assert expected[rank] == pytest.approx(divergence(model, cut, frames), rel=0.35)


def test_it_never_rises_with_the_rank_and_ends_at_nothing(model, frames):
    for values in expected_divergences(model, decompose(model), surprises(model, frames, draws=2)).values():
        assert list(values) == sorted(values, reverse=True)
        assert values[-1] == 0.0 < values[0]


def test_a_low_rank_layer_tells_the_same_as_its_product(model, frames):
    plan = RankPlan({"0.weight": 3, "2.weight": 2})
    small = factorize(model, plan, decompose(model))
    dense = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 8))
    with torch.no_grad():
        for index in (0, 2):
            dense[index].weight.copy_(small[index].weight)
            dense[index].bias.copy_(small[index].bias)
    told = [expected_divergences(one, decompose(small), surprises(one, frames, draws=3)) for one in (small, dense)]
    for layer in plan.ranks:
        assert told[0][layer] == pytest.approx(told[1][layer], rel=1e-3)


def test_every_kind_of_layer_is_told_of_and_what_changes_nothing_costs_nothing(recogniser, batch):
    recogniser.spare = nn.Linear(3, 4)

    def heard():
        scores = recogniser(*batch)
        yield F.cross_entropy(scores.flatten(0, 1), scores.argmax(-1).flatten(), reduction="sum")

    told = expected_divergences(recogniser, decompose(recogniser), heard())
    assert set(told.pop("spare.weight")) == {0.0}
    assert all(values[0] > 0.0 for values in told.values())
    assert all(parameter.grad is None for parameter in recogniser.parameters())


def test_without_speech_it_is_a_clear_error(model):
    with pytest.raises(PlanError, match="at least one"):
        expected_divergences(model, decompose(model), [])
