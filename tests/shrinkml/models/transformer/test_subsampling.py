import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.transformer.subsampling import Subsampling, within


@pytest.mark.parametrize("reductions", [(2, 2), (2, 1, 2), (1,)])
def test_steps_are_those_of_each_utterance_alone(reductions):
    torch.manual_seed(0)
    front = Subsampling(6, 8, reductions)
    speech = [torch.randn(n, 6) for n in (13, 20, 8, 17)]
    counts = torch.tensor([len(one) for one in speech])
    steps, inside = front(pad_sequence(speech, batch_first=True), counts)
    for row, one in enumerate(speech):
        alone, whole = front(one[None], counts[row : row + 1])
        assert whole.all()
        assert inside[row].sum() == alone.shape[1]
        torch.testing.assert_close(steps[row][inside[row]], alone[0])


@pytest.mark.parametrize(("reductions", "n"), [((2, 2), 4), ((2, 1), 7), ((2, 2, 2), 2), ((1, 1), 13)])
def test_each_reduction_halves_the_steps_rounded_up(reductions, n):
    steps, inside = Subsampling(6, 8, reductions)(torch.randn(1, 13, 6), torch.tensor([13]))
    assert steps.shape == (1, n, 8)
    assert inside.shape == (1, n)


def test_steps_count_up_to_the_end():
    assert within(torch.tensor([0, 2, 3]), 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]
