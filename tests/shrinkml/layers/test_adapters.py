"""The contract of every adapter, and that a new type of layer is a file and a row."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.inventory import list_parameters
from shrinkml.compression.sites import current_plan, find_layers, find_sites
from shrinkml.compression.surgery import merge, reshape
from shrinkml.layers.adapter import Adapter
from shrinkml.layers.adapters import ADAPTERS, nearest_adapter
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.forms import get_form

FRAMES = torch.Generator().manual_seed(0)

# A module of each type that holds matrices, and what it is called with; a new row of ADAPTERS asks for one here.
EXAMPLES = {
    nn.Linear: (lambda: nn.Linear(6, 5), torch.randn(3, 6, generator=FRAMES)),
    nn.Conv1d: (lambda: nn.Conv1d(3, 5, 4, stride=2, padding=1), torch.randn(2, 3, 19, generator=FRAMES)),
    nn.Embedding: (lambda: nn.Embedding(7, 5, padding_idx=2), torch.tensor([[1, 6], [2, 2]])),
    nn.LSTM: (lambda: nn.LSTM(6, 5, num_layers=2, bidirectional=True), torch.randn(7, 2, 6, generator=FRAMES)),
    nn.LSTMCell: (lambda: nn.LSTMCell(6, 5), torch.randn(3, 6, generator=FRAMES)),
    nn.GRU: (lambda: nn.GRU(6, 5, bias=False, batch_first=True), torch.randn(2, 7, 6, generator=FRAMES)),
    nn.GRUCell: (lambda: nn.GRUCell(6, 5), torch.randn(3, 6, generator=FRAMES)),
}
WITH_MATRICES = [adapter.dense_type for adapter in ADAPTERS.values() if adapter.form_type is not None]


def first(output):
    return first(output[0]) if isinstance(output, tuple) else output


@pytest.mark.parametrize("kind", dict.fromkeys(WITH_MATRICES), ids=lambda kind: kind.__name__)
class TestEveryAdapter:
    @pytest.fixture
    def dense(self, kind):
        torch.manual_seed(0)
        return EXAMPLES[kind][0]().eval()

    @pytest.fixture
    def plan(self, dense):
        return CompressionPlan.of_ranks({layer.name: 2 for layer in find_layers(dense)})

    @pytest.fixture
    def small(self, dense, plan):
        return factorize(dense, plan, decompose(dense))

    def test_ours_has_what_people_ask_torchs_for(self, dense, small):
        asked = {name for name in vars(dense) if not name.startswith("_")} | {*dense._parameters}
        assert all(hasattr(small, name) for name in asked)

    def test_both_types_share_it(self, kind, dense, small):
        assert ADAPTERS[type(dense)] is ADAPTERS[type(small)] is nearest_adapter(small)
        assert type(small) is ADAPTERS[kind].form_type
        assert isinstance(small, FormLayer)

    def test_both_types_hold_the_same_matrices(self, kind, dense, small):
        assert list(ADAPTERS[kind].matrices(dense)) == list(ADAPTERS[kind].matrices(small)) != []
        assert find_layers(dense) == find_layers(small)

    def test_what_is_held_under_choices_computes_as_torchs_with_the_products(self, kind, small):
        x = EXAMPLES[kind][1]
        merged = merge(small)
        assert type(merged) is kind
        with torch.no_grad():
            torch.testing.assert_close(first(small(x)), first(merged(x)), atol=1e-5, rtol=1e-5)

    def test_twins_have_the_options_of_their_module(self, kind, dense, small):
        assert ADAPTERS[kind].arguments(dense) == ADAPTERS[kind].arguments(small)
        assert ADAPTERS[kind].arguments(merge(small)) == ADAPTERS[kind].arguments(dense)

    def test_both_types_are_given_the_same_inputs(self, kind, dense, small):
        x = EXAMPLES[kind][1]
        merged = merge(small)
        with torch.no_grad():
            of_dense = [(name, given) for name, given in ADAPTERS[kind].inputs(merged, x)]
            of_small = [(name, given) for name, given in ADAPTERS[kind].inputs(small, x)]
        assert [name for name, _ in of_dense] == [name for name, _ in of_small]
        for (name, one), (_, other) in zip(of_dense, of_small, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
            assert one.shape[1] == get_form(dense, name).shape[1]

    def test_every_matrix_may_stay_dense_while_others_are_compressed(self, dense, plan):
        for layer, choice in plan:
            one = reshape(dense, CompressionPlan({layer: choice}))
            assert current_plan(one) == CompressionPlan({layer: choice})

    def test_the_layer_holds_every_matrix_dense_too(self, kind, dense):
        sizes, options = ADAPTERS[kind].arguments(dense)
        layer = ADAPTERS[kind].form_type(*sizes, {}, **options).eval()
        for name, parameter in layer.named_parameters():
            parameter.data = dense.get_parameter(name).data.view(parameter.shape)
        x = EXAMPLES[kind][1]
        with torch.no_grad():
            torch.testing.assert_close(first(layer(x)), first(dense(x)), atol=1e-5, rtol=1e-5)
        assert current_plan(layer) == CompressionPlan()


def test_a_type_derived_from_a_known_one_has_the_adapter_of_that_but_is_no_site():
    class Doubled(nn.Linear):
        pass

    assert nearest_adapter(Doubled(2, 2)) is ADAPTERS[nn.Linear]
    assert nearest_adapter(nn.ReLU()) is None
    assert find_sites(Doubled(2, 2)) == []


class Mixing(nn.Module):
    """A type of layer that the project lacks: twice the product with one matrix."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mix = nn.Parameter(torch.randn(size, size))

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * x @ self.mix.T


class FormMixing(FormLayer):
    def __init__(self, size: int, choices: Mapping[str, Choice]) -> None:
        super().__init__()
        self.size = size
        self.hold("mix", (size, size), choices)

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * get_form(self, "mix").multiply(x)


class TestANewTypeOfLayer:
    """Of all that compression does, nothing but its row has to know it."""

    @pytest.fixture(autouse=True)
    def row(self, monkeypatch):
        mixing = Adapter(
            Mixing,
            FormMixing,
            arguments=lambda module: ((module.size,), {}),
            matrices=lambda module: iter([("mix", "linear")]),
            inputs=lambda module, x: iter([("mix", x)]),
            why_left=lambda module: "mixing is left",
        )
        for kind in mixing.types:
            monkeypatch.setitem(ADAPTERS, kind, mixing)

    def test_its_matrix_is_found_calibrated_compressed_and_opened_again(self):
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(4, 6), Mixing(6)), torch.randn(50, 4)
        assert [layer.name for layer in find_layers(model)] == ["0.weight", "1.mix"]
        stats = calibrate(model, lambda: model(x))
        assert stats["1.mix"].n_frames == 50
        plan = CompressionPlan.of_ranks({"1.mix": 3})
        small = factorize(model, plan, decompose(model, "pca", stats))
        assert (type(small[1]), current_plan(small)) == (FormMixing, plan)
        opened = reshape(model, plan)
        opened.load_state_dict(small.state_dict())
        assert torch.equal(opened(x), small(x))
        torch.testing.assert_close(merge(small)(x), small(x))
        assert type(merge(small)[1]) is Mixing

    def test_its_parameters_are_listed_and_the_reason_told_where_it_is_left(self):
        assert [note.verdict for note in list_parameters(Mixing(3))] == ["factorizable"]

        class Other(Mixing):
            pass

        assert [note.why for note in list_parameters(Other(3))] == ["mixing is left"]
