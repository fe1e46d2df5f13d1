import pytest
import torch
import torch.nn.functional as F

from shrinkml.errors import ConfigError, StoppedError
from shrinkml.models.heads import ATTENTION, CTC, AttentionHead
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.posteriors import TOP
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import divergence, soft_targets

SHAPE = LasConfig(n_mels=8, stack=2, hidden=12, decoder=10, embedding=6)
TEXTS = ["on", "off off on", "on on"]


def las(seed: int) -> Las:
    torch.manual_seed(seed)
    return Las(SHAPE, Tokenizer.from_texts(TEXTS, "word")).eval()


@pytest.fixture
def dataset() -> Dataset:
    torch.manual_seed(0)
    features = [torch.randn(frames, 8) for frames in (40, 90, 61)]
    return Dataset(features, TEXTS, [0.4, 0.9, 0.6], [None] * 3)


@torch.no_grad()
def test_a_model_does_not_differ_from_itself_and_differs_from_another(dataset):
    targets = soft_targets(las(0), dataset)
    for i, (features, text) in enumerate(zip(dataset.features, TEXTS, strict=True)):
        assert divergence(las(0).teacher_forced([features], [text]), targets, [i]).item() == pytest.approx(0, abs=1e-5)
        assert divergence(las(1).teacher_forced([features], [text]), targets, [i]) > 1e-3


def test_the_targets_are_posteriors_without_padding(dataset):
    targets = soft_targets(las(0), dataset)
    assert [len(rows.values) for rows in targets[ATTENTION]] == [2, 4, 3]  # the words and the end
    assert [len(rows.values) for rows in targets[CTC]] == [10, 23, 16]
    for rows in (*targets[ATTENTION], *targets[CTC]):
        assert rows.tokens is None
        torch.testing.assert_close(rows.values.exp().sum(-1), torch.ones(len(rows.values)))


class Speaker:
    """A model that says the same [steps, V] of everything."""

    def __init__(self, logits):
        self.logits = logits
        self.module = torch.nn.Identity()

    def teacher_forced(self, features, texts):
        targets = torch.zeros(len(texts), len(self.logits), dtype=torch.long)
        return {ATTENTION: AttentionHead(self.logits.expand(len(texts), -1, -1), targets)}


def test_of_a_large_vocabulary_the_likeliest_tokens_are_kept_and_the_others_as_one(dataset):
    peaked = 9 * torch.randn(2, 5, 2000, generator=torch.Generator().manual_seed(1))
    teacher, student = peaked
    targets = soft_targets(Speaker(teacher), dataset)
    assert targets[ATTENTION][0].values.shape == (5, TOP + 1)
    assert divergence(Speaker(teacher).teacher_forced(["x"], ["x"]), targets, [0]).item() == pytest.approx(0, abs=1e-4)
    whole = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True).item() / 5
    found = divergence(Speaker(student).teacher_forced(["x"], ["x"]), targets, [0]).item()
    assert 0.9 * whole < found <= whole + 1e-4


def test_the_rest_of_a_large_vocabulary_is_learnt_as_well(dataset):
    targets = soft_targets(Speaker(torch.zeros(5, 2000)), dataset)
    logits = torch.zeros(5, 2000)
    logits[:, targets[ATTENTION][0].tokens[0]] = 3.0
    logits.requires_grad_()
    divergence(Speaker(logits).teacher_forced(["x"], ["x"]), targets, [0]).backward()
    assert (logits.grad[:, targets[ATTENTION][0].tokens[0]] > 0).all()


def test_heads_that_only_one_of_both_has_are_left_out(dataset):
    targets = soft_targets(las(0), dataset)
    heads = las(1).teacher_forced(dataset.features, TEXTS)
    both, decoder = divergence(heads, targets, range(3)), divergence(heads, {ATTENTION: targets[ATTENTION]}, range(3))
    frames = divergence({CTC: heads[CTC]}, targets, range(3))
    assert both.item() == pytest.approx((decoder + frames).item())
    assert decoder.item() == heads[ATTENTION].distillation_loss(targets[ATTENTION]).item()


def test_a_student_without_a_head_of_the_teacher_is_refused(dataset):
    heads = las(0).teacher_forced(dataset.features, TEXTS)
    message = "a student with the heads attention, ctc cannot learn from a teacher with lattice; allowed: one head"
    with pytest.raises(ConfigError, match=message):
        divergence(heads, {"lattice": []}, range(3))


def test_it_stops_when_asked(dataset):
    with pytest.raises(StoppedError):
        soft_targets(las(0), dataset, should_stop=lambda: True)
