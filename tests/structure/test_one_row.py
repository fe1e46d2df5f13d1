"""A new strategy, reward and factorizer is a function and a row of its table: each is added here, and used by a search.

The same is shown where their contracts are tested: of a form of a weight in tests/shrinkml/weights/test_forms.py, of a
family of models in tests/shrinkml/models/test_families.py, of a stage in tests/agents/pipeline/test_job_run.py, of an
export in tests/agents/pipeline/exports/test_export_table.py, of a lever in tests/envs/test_levers.py.
"""

import pytest
import torch
from torch import nn

import shrinkml
from agents.strategies.strategies import STRATEGIES, StrategyRow
from envs.rewards import REWARDS
from shrinkml.compression.factorizer_table import FACTORIZERS, Factorizer
from shrinkml.compression.factorizers import svd
from shrinkml.job import FinetuneSpec, SearchSpec
from shrinkml.plan.compression_plan import CompressionPlan

WORDS = ("up", "down")


@pytest.fixture
def module():
    """Hears frames of 16 numbers, through one layer of full rank."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, len(WORDS)))


def scores(module, features):
    return torch.stack([module(frames).mean(0) for frames in features])


def loss(module, features, texts):
    wanted = torch.tensor([WORDS.index(text) for text in texts])
    return nn.functional.cross_entropy(scores(module, features), wanted)


def transcribe(module, features):
    return [WORDS[i] for i in scores(module, features).argmax(1)]


def compress(module, *, strategy="uniform", reward="budget_wall", factorizer="svd"):
    speech = list(torch.randn(8, 5, 16, generator=torch.Generator().manual_seed(1))), [*WORDS] * 4
    return shrinkml.compress(
        module,
        loss=loss,
        transcribe=transcribe,
        compression_ratio=1.5,
        dev=speech,
        test=speech,
        factorizer=factorizer,
        search=SearchSpec(strategy=strategy, reward=reward, evaluations=6, baselines=()),
        finetune=FinetuneSpec(epochs=0),
    )


def test_a_strategy_is_one_row(module, monkeypatch):
    proposed = []

    def smallest(search):
        proposed.append(search.budget.plan([0] * len(search.budget.names)))
        search.recorder(proposed[0])

    monkeypatch.setitem(STRATEGIES, "smallest", StrategyRow(smallest, "baseline"))
    found = compress(module, strategy="smallest")
    assert isinstance(proposed[0], CompressionPlan)
    assert [trial.plan for trial in found.searches[0].trials] == proposed
    assert found.plan == proposed[0]


def test_a_reward_is_one_row(module, monkeypatch):
    given = []

    def size_alone(**facts):
        given.append(facts)
        return -facts["price"] / facts["budget"]

    monkeypatch.setitem(REWARDS, "size_alone", size_alone)
    found = compress(module, strategy="ppo", reward="size_alone")
    assert found.searches[0].trials
    assert len(given) >= len(found.searches[0].trials)


def test_a_factorizer_is_one_row(module, monkeypatch):
    shapes = []

    def watched(matrix, stats):
        shapes.append(matrix.shape)
        return svd(matrix, stats)

    monkeypatch.setitem(FACTORIZERS, "watched", Factorizer(lambda: watched, calibrated=False))
    found = compress(module, factorizer="watched")
    assert (24, 16) in shapes
    assert found.plan == compress(module, factorizer="svd").plan
