import pytest
import torch
import torch.nn.functional as F

from shrinkml.models.posteriors import LEAST, TOP, kl_per_step, likeliest


def logits(*shape, seed=0):
    return 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_all_posteriors_of_a_small_vocabulary_are_kept():
    scores = logits(5, TOP + 1)
    kept = likeliest(scores)
    assert kept.tokens is None
    assert torch.equal(kept.values, scores.log_softmax(-1))


def test_of_a_large_vocabulary_the_likeliest_are_kept_and_the_rest_as_one():
    scores = logits(5, TOP + 2)
    kept = likeliest(scores)
    assert torch.equal(kept.tokens, scores.topk(TOP).indices)
    torch.testing.assert_close(kept.values.exp().sum(-1), torch.ones(5), atol=1e-4, rtol=0)


def test_a_rest_of_nothing_has_a_finite_logarithm():
    scores = torch.full((1, TOP + 2), -1e4)
    scores[0, 7] = 1e4
    assert likeliest(scores).values[0, -1].exp().item() == pytest.approx(LEAST)


def test_the_divergence_is_the_mean_over_the_steps_of_all_utterances():
    teachers, students = [logits(3, 9), logits(2, 9, seed=1)], [logits(3, 9, seed=2), logits(2, 9, seed=3)]
    found = kl_per_step([likeliest(one) for one in teachers], students)
    before, after = torch.cat(teachers).log_softmax(-1), torch.cat(students).log_softmax(-1)
    torch.testing.assert_close(found, F.kl_div(after, before, reduction="batchmean", log_target=True))


def test_merging_the_rest_never_makes_a_divergence_larger():
    teacher, student = logits(4, 1000), logits(4, 1000, seed=1)
    whole = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)
    assert 0 < kl_per_step([likeliest(teacher)], [student]) <= whole + 1e-4


def test_without_a_step_nothing_differs():
    assert kl_per_step([likeliest(logits(0, 9))], [logits(0, 9)]).item() == 0.0
