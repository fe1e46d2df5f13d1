import pytest
import torch

from shrinkml.errors import ConfigError, StoppedError
from shrinkml.models.family import FreshModel
from shrinkml.models.las.las_operations import LAS_MODELS
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.lesson import take_lesson_

SHAPE = {"n_mels": 20, "hidden": 12, "decoder": 12, "embedding": 8, "reductions": [2]}


@pytest.fixture
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])[:4]


def drawn(seed, texts, **shape):
    return LAS_MODELS.fresh(FreshModel("las", {**SHAPE, **shape}, texts, "word", seed)).eval()


def test_weights_that_fit_are_taken_over_and_the_others_stay(utterances):
    texts = [utterance.text for utterance in utterances]
    teacher, student = drawn(1, texts), drawn(2, texts, embedding=6)
    before = {name: parameter.clone() for name, parameter in student.named_parameters()}
    take_lesson_(student, teacher, utterances)
    theirs, now = dict(teacher.named_parameters()), dict(student.named_parameters())
    assert torch.equal(now["output.weight"], theirs["output.weight"])
    assert now["output.weight"] is not theirs["output.weight"]
    for name in ("embedding.weight", "cell.weight_ih"):
        assert torch.equal(now[name], before[name])


def test_the_posteriors_are_the_teachers_of_every_utterance(utterances):
    texts = [utterance.text for utterance in utterances]
    teacher = drawn(1, texts)
    soft = take_lesson_(drawn(2, texts), teacher, utterances)
    assert {name: len(kept) for name, kept in soft.items()} == {"attention": 4, "ctc": 4}


def test_a_teacher_with_another_vocabulary_is_refused(utterances):
    texts = [utterance.text for utterance in utterances]
    with pytest.raises(ConfigError, match=r"the teacher writes '.*' in other tokens; allowed: a model of the same voc"):
        take_lesson_(drawn(2, texts), drawn(1, ["abacus", *texts]), utterances)


def test_it_can_be_called_off(utterances):
    texts = [utterance.text for utterance in utterances]
    with pytest.raises(StoppedError):
        take_lesson_(drawn(2, texts), drawn(1, texts), utterances, should_stop=lambda: True)
