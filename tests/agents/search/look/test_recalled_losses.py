import pytest

import shrinkml
from agents.search.look.forced_scores import ForcedScores
from agents.search.look.recalled_losses import TOKENS, RecalledLosses
from agents.search.model_evaluator import shrunk
from shrinkml.compression.factorizers import decompose
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset


class Kept(dict):
    """A memory that can be looked into."""

    def find(self, keys):
        return {key: self[key] for key in keys if key in self}

    keep = dict.update


@pytest.fixture(scope="module")
def scores(tiny_model_dir, tiny_data):
    model = shrinkml.load(tiny_model_dir)
    decompositions = decompose(model.module)
    speech = load_dataset(model, read_manifest(tiny_data["dev"])[:4])
    return ForcedScores(model, lambda plan: shrunk(model, plan, decompositions), speech)


def test_what_is_remembered_is_not_measured_again(scores):
    plan, memory, told = CompressionPlan.of_ranks({"encoder.0.weight_ih_l0": 2}), Kept(), []
    first = RecalledLosses(lambda: scores, memory, told.append)
    loss, tokens = first.loss(plan), first.tokens_per_utterance()
    assert loss == scores.divergence(plan)
    assert memory == {plan.digest: loss, TOKENS: tokens}
    assert told == [1]
    again = RecalledLosses(lambda: pytest.fail("the model was run"), memory)
    assert (again.loss(plan), again.tokens_per_utterance()) == (loss, tokens)


def test_without_a_memory_it_is_measured_anew(scores):
    plan = CompressionPlan.of_ranks({"encoder.0.weight_ih_l0": 2})
    assert RecalledLosses(lambda: scores).loss(plan) == RecalledLosses(lambda: scores).loss(plan)
