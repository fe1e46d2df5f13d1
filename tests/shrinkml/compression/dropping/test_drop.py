"""Models without some branches, against the same models whose branches give zeros: by weights that are all 0."""

import copy

import pytest
import torch

import shrinkml
from shrinkml.compression.dropping.drop import absent_in, drop, dropped_in, without_dropped
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, model_cost, present_cost
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DROPPED, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage import checkpoint

TEXTS = ["A", "AB"]


@pytest.fixture(scope="module", params=["whisper", "moonshine", "wav2vec2", "parakeet_ctc"])
def model(request, stock_dir):
    return shrinkml.load(stock_dir(request.param))


@pytest.fixture(scope="module")
def features(model, waveforms):
    return [model.features(waveform) for waveform in waveforms[:2]]


@pytest.fixture(scope="module")
def branches(model, features):
    return find_residual_branches(model, lambda: model.teacher_forced(features[:1], TEXTS[:1]))


def scores(model, features):
    with torch.no_grad():
        heads = model.teacher_forced(features, TEXTS).values()
    return torch.cat([row.flatten() for head in heads for row in head.rows()])


def silenced(model, path):
    """A copy whose branch at `path` computes with weights of 0; of a weight norm, the lengths alone are."""
    quiet = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in quiet.get_submodule(path).named_parameters():
            if not name.endswith("original1"):
                parameter.zero_()
    return quiet


def test_a_model_without_a_branch_is_one_whose_branch_gives_zeros(model, branches, features):
    cost, whole = model_cost(model, branches=branches), scores(model, features)
    for path, choice in branches.items():
        plan = CompressionPlan({path: choice})
        small, quiet = factorize(model, plan, {}), silenced(model, path)
        assert torch.equal(scores(small, features), scores(quiet, features))
        assert not torch.equal(scores(small, features), whole)
        assert small.transcribe(features) == quiet.transcribe(features)
        assert current_plan(small) == plan
        assert present_cost(small).parameters == cost.parameters(plan) < cost.dense_parameters
        assert model_cost(small).dense_parameters == cost.dense_parameters
    assert not absent_in(model)


def test_a_beam_search_counts_the_steps_of_attention_that_is_gone(stock_dir, waveforms):
    model = shrinkml.load(stock_dir("whisper"))
    path = "network.model.decoder.layers.0.self_attn"
    small = drop(model, CompressionPlan({path: Choice(dropped=True, returns=2)}))
    features = [model.features(waveform) for waveform in waveforms]
    assert small.transcribe(features, beam=2) == silenced(model, path).transcribe(features, beam=2)


def test_a_checkpoint_without_branches_is_opened_so_and_can_learn(model, branches, features, tmp_path):
    plan = CompressionPlan(dict(branches))
    small = factorize(model, plan, {})
    checkpoint.save(small, tmp_path / "small")
    opened = checkpoint.load(tmp_path / "small")
    assert current_plan(opened) == plan
    assert torch.equal(scores(opened, features), scores(small, features))
    assert opened.transcribe(features) == small.transcribe(features)
    assert checkpoint.stored_parameters(tmp_path / "small") == model_cost(model, branches=branches).parameters(plan)
    opened.loss(opened.train().teacher_forced(features, TEXTS)).backward()


def test_what_a_plan_says_of_layers_in_a_dropped_branch_is_not_asked(model, branches):
    path, choice = next(iter(branches.items()))
    ranks = {layer.name: Choice(rank=1) for layer in find_layers(model)}
    small = factorize(model, CompressionPlan({**ranks, path: choice}), decompose(model, "svd", {}))
    there = {layer.name for layer in find_layers(small)}
    assert current_plan(small) == CompressionPlan({**{name: ranks[name] for name in there}, path: choice})
    assert not any(name.startswith(f"{path}.") for name in there)


def test_a_model_that_lacks_what_a_plan_drops_is_refused(model):
    plan = CompressionPlan({"network.nowhere": DROPPED})
    with pytest.raises(PlanError, match=r"the plan drops 'network\.nowhere', which the model lacks"):
        drop(model, plan)


def test_dropped_modules_are_told_apart_from_matrices():
    dropped = Choice(dropped=True, removes=("norm",))
    plan = CompressionPlan(
        {"a": dropped, "a.weight": Choice(rank=2), "norm.weight": Choice(bits=8), "b": Choice(rank=1)}
    )
    assert dropped_in(plan) == {"a": dropped}
    assert without_dropped(plan) == CompressionPlan({"b": Choice(rank=1)})
