import pytest
import torch

from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.dense import Dense


def test_it_holds_the_choice_to_leave_a_matrix_alone():
    assert Dense.holds(DENSE)
    assert not any(map(Dense.holds, (Choice(rank=2), Choice(bits=8), Choice(sparsity=0.5))))


def test_it_holds_what_cut_units_leave_too():
    for choice, shape in ((Choice(outputs=4), (4, 5)), (Choice(inputs=2), (6, 2))):
        assert Dense.holds(choice)
        zeros = Dense.zeros(choice, (6, 5))
        assert (zeros.choice, zeros.shape) == (choice, shape)
        assert Dense.opened(choice, (6, 5), zeros.files).choice == choice


def test_the_weight_of_a_convolution_is_the_matrix_of_its_window():
    weight = torch.randn(5, 3, 4)
    assert torch.equal(Dense.stored(DENSE, [weight]).dense(), weight.view(5, 12))


def test_a_parameter_is_stored_without_a_copy():
    weight = torch.nn.Parameter(torch.randn(5, 3))
    assert Dense.stored(DENSE, [weight]).weight is weight


def test_the_padding_row_gets_no_gradient():
    weight = torch.ones(4, 3, requires_grad=True)
    Dense(weight).look_up(torch.tensor([1, 2]), 1).sum().backward()
    assert weight.grad.sum(1).tolist() == pytest.approx([0.0, 0.0, 3.0, 0.0])
