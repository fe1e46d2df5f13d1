import pytest
from torch import nn

from shrinkml.compression.chosen_layers import asked_to_leave
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan


class Small(nn.Module):
    """Two linear layers, an LSTM, and an output layer tied to its embedding."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"up": nn.Linear(8, 9), "rnn": nn.LSTM(9, 6)})
        self.embed_tokens = nn.Embedding(12, 10)
        self.proj_out = nn.Linear(10, 12, bias=False)
        self.proj_out.weight = self.embed_tokens.weight


def left(only=(), excepted=()):
    return set(asked_to_leave(Small(), only=only, excepted=excepted))


LAYERS = {layer.name for layer in find_layers(Small())}


@pytest.mark.parametrize("pattern", ["encoder", "encoder.*", "encoder.[ur]*", "enc*"])
def test_a_pattern_stands_for_a_layer_by_its_name_or_by_a_module_that_it_lies_in(pattern):
    inside = {name for name in LAYERS if name.startswith("encoder.")}
    assert left(only=[pattern]) == LAYERS - inside
    assert left(excepted=[pattern]) == inside


def test_tied_matrices_are_found_by_each_of_their_names():
    assert left(excepted=["proj_out"]) == left(excepted=["*embed_tokens.weight"]) == {"embed_tokens.weight"}


def test_what_is_excepted_is_left_although_it_is_named():
    assert left(only=["encoder.*"], excepted=["*_hh_*"]) == {"embed_tokens.weight", "encoder.rnn.weight_hh_l0"}


def test_the_reason_tells_the_pattern():
    found = asked_to_leave(Small(), only=["encoder.*"], excepted=["*.up"])
    assert found["encoder.up.weight"] == "layers.except of the job asks to leave it (*.up)"
    assert found["embed_tokens.weight"] == "layers.only of the job does not name it (encoder.*)"


def test_names_are_the_same_where_layers_are_factorized_already():
    model = Small()
    small = factorize(model, CompressionPlan.of_ranks(dict.fromkeys(LAYERS, 2)), decompose(model))
    assert set(asked_to_leave(small, only=["encoder"], excepted=[])) == left(only=["encoder"])


def test_a_pattern_without_a_layer_is_refused_with_close_names():
    message = r"the pattern 'encoder\.down' matches none of the model's 4 layers; close names: encoder\.up\.weight, "
    with pytest.raises(PlanError, match=message):
        left(excepted=["embed_tokens", "encoder.down"])


def test_patterns_that_leave_everything_alone_are_refused():
    message = r"layers\.only \(all\) and layers\.except \(\*\) leave all 4 layers of the model alone"
    with pytest.raises(PlanError, match=message):
        left(excepted=["*"])
