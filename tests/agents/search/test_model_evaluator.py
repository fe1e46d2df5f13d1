import pytest

from agents.search.model_evaluator import ModelEvaluator, parts_of, shrunk
from agents.search.racing import RacingJudge
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import model_cost
from shrinkml.measure.evaluation import transcripts, word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load
from shrinkml.training.dataset import load_dataset

DENSE = CompressionPlan()


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture(scope="module")
def dev(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"]))


@pytest.fixture(scope="module")
def decompositions(model):
    return decompose(model)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Five utterances, so that the 24 of dev make five batches."""
    monkeypatch.setattr("agents.search.model_evaluator.BATCH_SIZE", 5)


def test_parts_are_made_of_the_batches_of_the_whole(dev):
    first, *others, last = list(dev.batches(5))
    assert parts_of(dev) == [first + last, *others]
    batches = [[part[i] for i in batch] for part in parts_of(dev) for batch in dev.subset(part).batches(5)]
    assert sorted(batches) == sorted([first, *others, last])


def test_fewer_batches_make_fewer_parts(dev):
    assert parts_of(dev.subset(range(5))) == [[*next(dev.subset(range(5)).batches(5))]]


def test_all_parts_together_have_the_wer_of_the_whole_and_a_hopeless_plan_is_not_heard_to_the_end(
    model, dev, decompositions, monkeypatch
):
    made, heard = [], []
    hopeless = CompressionPlan.of_ranks({layer.name: 1 for layer in model_cost(model).layers})

    def shrink(plan):
        made.append(plan)
        return shrunk(model, plan, decompositions)

    def counted(small, dataset, *, batch_size):
        heard.append(len(dataset))
        return transcripts(small, dataset, batch_size=batch_size)

    monkeypatch.setattr("agents.search.model_evaluator.transcripts", counted)
    evaluator = ModelEvaluator(shrink, dev)
    judge = RacingJudge(evaluator, evaluator.words)
    assert judge(DENSE) == word_error_rate(model, dev, batch_size=5)
    assert (made, sum(heard)) == ([DENSE], len(dev))
    heard.clear()
    found = judge.race(hopeless, DENSE)
    assert (made, sum(heard)) == ([DENSE, hopeless], len(parts_of(dev)[0]))
    assert judge(DENSE) + 0.2 < found.wer
    assert found.heard == sum(evaluator.words[0]) / sum(map(sum, evaluator.words))
