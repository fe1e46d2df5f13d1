import pytest
import torch

from shrinkml.dataset import Dataset
from shrinkml.distillation import divergence, soft_targets
from shrinkml.errors import StoppedError
from shrinkml.models.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer

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
    assert [len(rows) for rows in targets.decoder] == [2, 4, 3]  # the words and the end
    assert targets.ctc is not None
    assert [len(rows) for rows in targets.ctc] == [10, 23, 16]
    for rows in (*targets.decoder, *targets.ctc):
        torch.testing.assert_close(rows.exp().sum(-1), torch.ones(len(rows)))


def test_it_stops_when_asked(dataset):
    with pytest.raises(StoppedError):
        soft_targets(las(0), dataset, should_stop=lambda: True)
