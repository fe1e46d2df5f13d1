import torch

from shrinkml.weights.low_rank import LowRank
from shrinkml.weights.widened_form import WidenedForm


class Halved(WidenedForm):
    """A product whose first factor is stored twice as large."""

    @property
    def widened(self):
        return LowRank(torch.ones(4, 2), torch.arange(6.0).view(2, 3) / 2)


def test_a_form_that_tells_its_widened_matrix_multiplies_as_that_does():
    form, wide, x = Halved(), Halved().widened, torch.arange(3.0)
    assert torch.equal(form.dense(), wide.dense())
    assert all(map(torch.equal, form.factors, wide.factors))
    assert torch.equal(form.multiply(x, torch.ones(4)), wide.multiply(x, torch.ones(4)))
    assert torch.equal(form.look_up(torch.tensor([1, 3])), wide.look_up(torch.tensor([1, 3])))
    assert form.remembered
