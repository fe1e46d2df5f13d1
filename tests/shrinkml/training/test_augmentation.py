import pytest
import torch

from shrinkml.training.augmentation import MAX_MASKED_BINS, MAX_MASKED_FRAMES, masked, warped


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_no_warp_changes_nothing():
    features = torch.randn(50, 40)
    assert torch.equal(warped(features, 0.0), features)


def test_a_warp_moves_a_formant_by_at_most_its_share():
    peak = torch.exp(-0.5 * ((torch.arange(40.0) - 20) / 2) ** 2).expand(3, 40)
    places = torch.tensor([int(warped(peak, 0.2)[0].argmax()) for _ in range(200)])
    assert places.min() == pytest.approx(20 / 1.2, abs=1)
    assert places.max() == pytest.approx(20 / 0.8, abs=1)


def test_a_warp_keeps_the_shape_and_invents_no_energy():
    features = torch.randn(30, 40)
    for _ in range(50):
        changed = warped(features, 0.3)
        assert changed.shape == features.shape
        assert features.min() <= changed.min()
        assert changed.max() <= features.max()


def test_masks_hide_a_little_and_leave_the_input_alone():
    features = torch.ones(100, 40)
    shares = torch.tensor([float((masked(features) == 0).float().mean()) for _ in range(200)])
    assert 0 < shares.mean() < 2 * (MAX_MASKED_BINS + MAX_MASKED_FRAMES) / 2
    assert shares.max() <= 2 * (MAX_MASKED_BINS + MAX_MASKED_FRAMES)
    assert (features == 1).all()


def test_a_waveform_is_never_masked_whole():
    waveform = torch.ones(1000, 1)
    assert all(float(masked(waveform).mean()) >= 1 - 2 * MAX_MASKED_FRAMES for _ in range(50))
