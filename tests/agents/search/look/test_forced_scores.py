"""The bundled Whisper, whose decoder alone runs again where a plan leaves the encoder as it is."""

import pytest

import shrinkml
from agents.search.interruptible import Interruptible
from agents.search.look.forced_scores import ForcedScores
from agents.search.model_evaluator import shrunk
from shrinkml.compression.factorizers import decompose
from shrinkml.errors import StoppedError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset


@pytest.fixture(scope="module")
def whisper():
    return shrinkml.load("reference/whisper")


@pytest.fixture(scope="module")
def speech(whisper, tiny_data):
    return load_dataset(whisper, read_manifest(tiny_data["dev"])[:3])


@pytest.fixture(scope="module")
def decompositions(whisper):
    return decompose(whisper.module)


def site(decompositions, part):
    return next(name for name in decompositions if part in name)


def test_a_model_does_not_diverge_from_itself(whisper, speech, decompositions):
    scores = ForcedScores(whisper, lambda plan: shrunk(whisper, plan, decompositions), speech)
    assert scores.tells
    assert scores.divergence(CompressionPlan()) == pytest.approx(0.0, abs=1e-6)
    assert scores.tokens_per_utterance > 2


def test_kept_states_change_no_loss(whisper, speech, decompositions):
    def cut(plan):
        return shrunk(whisper, plan, decompositions)

    encoder, decoder = site(decompositions, "encoder.layers.0.fc1"), site(decompositions, "decoder.layers.0.fc1")
    plans = [CompressionPlan.of_ranks(ranks) for ranks in ({encoder: 2}, {decoder: 2}, {encoder: 2, decoder: 2})]
    kept = ForcedScores(whisper, cut, speech)
    alone = [ForcedScores(whisper, cut, speech).divergence(plan) for plan in plans]
    assert [kept.divergence(plan) for plan in (*plans, *plans)] == pytest.approx(alone * 2)
    assert min(alone) > 0


def test_a_stop_is_noticed(whisper, speech, decompositions):
    stop = False
    heard = Interruptible(whisper, lambda: stop)
    scores = ForcedScores(
        heard, lambda plan: Interruptible(shrunk(whisper, plan, decompositions), lambda: stop), speech
    )
    stop = True
    with pytest.raises(StoppedError):
        scores.divergence(CompressionPlan.of_ranks({site(decompositions, "decoder.layers.0.fc1"): 2}))
