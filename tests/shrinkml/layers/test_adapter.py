from torch import nn

from shrinkml.layers.adapter import Adapter
from shrinkml.layers.linear import LINEAR, FormLinear
from tests.shrinkml.layers.at_ranks import at_ranks


def test_a_twin_is_torchs_without_choices_and_ours_with_them_and_has_no_storage():
    dense = nn.Linear(4, 3, bias=False).eval()
    plain, formed = LINEAR.twin(dense, {}), LINEAR.twin(dense, at_ranks(weight=2))
    assert (type(plain), type(formed)) == (nn.Linear, FormLinear)
    assert formed.choices == at_ranks(weight=2)
    assert type(LINEAR.twin(formed, {})) is nn.Linear
    assert not plain.training
    assert not formed.training
    assert all(parameter.is_meta for module in (plain, formed) for parameter in module.parameters())


def test_a_type_of_which_nothing_is_known_but_that_it_is_left_holds_no_matrix():
    left = Adapter(nn.ReLU, why_left=lambda _: "no weights")
    assert left.types == (nn.ReLU,)
    assert list(left.matrices(nn.ReLU())) == list(left.inputs(nn.ReLU(), 1)) == []
    assert left.why_left(nn.ReLU()) == "no weights"
