import math

import torch

from shrinkml.models.transformer.sinusoids import LONGEST, rates, sinusoids


def test_waves_are_those_of_the_paper():
    """sin(position / 10000^(2i / hidden)) and the cosine of the same."""
    found = sinusoids(torch.zeros(1, 7, 6))
    for position in range(7):
        for i in range(3):
            angle = position / LONGEST ** (2 * i / 6)
            assert math.isclose(found[position, i], math.sin(angle), abs_tol=1e-6)
            assert math.isclose(found[position, i + 3], math.cos(angle), abs_tol=1e-6)


def test_positions_go_on_where_others_ended():
    assert torch.equal(sinusoids(torch.zeros(2, 3, 4), 5), sinusoids(torch.zeros(1, 8, 4))[5:])


def test_the_first_wave_is_the_fastest():
    found = rates(8)
    assert found[0] == 1.0
    assert (found[1:] < found[:-1]).all()
