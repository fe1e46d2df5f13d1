"""The contract of every form, and that a new one is a class and a row."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose, svd
from shrinkml.compression.sites import current_plan, find_layers, model_cost, present_cost
from shrinkml.compression.surgery import merge, reshape
from shrinkml.errors import PlanError
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.storage.checkpoint import inspect, load, save, stored_parameters
from shrinkml.weights.dense import Dense
from shrinkml.weights.forms import FORMS, LABELS, as_dense, form_of, get_form, get_parameters, hold, holding, matrix_of
from tests.shrinkml.weights.toy_form import SIXTEEN_BITS, Rounded

N_OUT, N_IN = 7, 5
CHOICES = {
    "dense": DENSE,
    "low_rank": Choice(rank=3),
    "identity_block": Choice(rank=3, identity=True),
    "sparse_dense": Choice(sparsity=0.7),
    "sparse_low_rank": Choice(rank=3, sparsity=0.5),
    "quantized_dense": Choice(bits=8),
    "quantized_low_rank": Choice(rank=3, bits=4),
    "quantized_identity_block": Choice(rank=3, bits=8, identity=True),
    "quantized_sparse_dense": Choice(bits=4, sparsity=0.5),
    "quantized_sparse_low_rank": Choice(rank=3, bits=8, sparsity=0.7),
    "rounded": SIXTEEN_BITS,
}


@pytest.fixture(autouse=True)
def with_the_toy(monkeypatch):
    monkeypatch.setitem(FORMS, "rounded", Rounded)


@pytest.fixture(params=[*FORMS, "rounded"])
def choice(request):
    """A choice for each form; a new row of FORMS asks for one in CHOICES."""
    return CHOICES[request.param]


@pytest.fixture
def weight():
    torch.manual_seed(0)
    return torch.randn(N_OUT, N_IN)


@pytest.fixture
def form(choice, weight):
    """The matrix `weight` under `choice`."""
    dense = Dense(weight)
    return form_of(choice).compressed(dense, choice, svd(dense))


class Holder(FormLayer):
    def __init__(self, choice):
        super().__init__()
        self.hold("weight", (N_OUT, N_IN), {"weight": choice})


class TestEveryForm:
    def test_the_choice_comes_back(self, form, choice):
        assert form.choice == choice
        assert form_of(form.choice) is type(form)

    def test_zeros_have_the_parts_of_a_matrix_in_that_form(self, form, choice):
        zeros = form_of(choice).zeros(choice, (N_OUT, N_IN))
        assert [(part.shape, part.dtype) for part in zeros.parts] == [(part.shape, part.dtype) for part in form.parts]
        assert (zeros.choice, zeros.shape) == (choice, (N_OUT, N_IN))
        assert not zeros.dense().any()

    def test_zeros_need_no_storage(self, choice):
        with torch.device("meta"):
            assert all(part.is_meta for part in form_of(choice).zeros(choice, (N_OUT, N_IN)).parts)

    def test_what_is_stored_opens_again(self, form, choice):
        again = form_of(choice).stored(choice, form.parts)
        assert torch.equal(again.dense(), form.dense())
        assert len(form.parts) == len(form.suffixes) == len(set(form.suffixes))

    def test_it_shares_no_memory_with_the_matrix_that_it_was_made_of(self, form, weight):
        before = weight.clone()
        for part in form.parts:
            part.zero_()
        assert torch.equal(weight, before)

    def test_what_files_hold_opens_again(self, form, choice):
        files = form.files
        again = form_of(choice).opened(choice, (N_OUT, N_IN), files)
        assert torch.equal(again.dense(), form.dense())
        assert tuple(files) == form.file_suffixes
        assert all(torch.equal(tensor, again.files[suffix]) for suffix, tensor in files.items())

    def test_widened_it_is_the_same_matrix_in_floating_point(self, form):
        wide = form.widened
        assert torch.equal(wide.dense(), form.dense())
        assert wide.widened is wide
        assert any(part.is_floating_point() for part in wide.parts)

    def test_the_dense_product_has_the_shape_that_is_said(self, form):
        assert form.shape == tuple(form.dense().shape) == (N_OUT, N_IN)
        assert torch.equal(as_dense(form, form.shape).dense(), form.dense())

    def test_the_factors_in_turn_are_the_dense_product(self, form):
        product = torch.eye(N_IN)
        for factor in form.factors:
            product = factor @ product
        torch.testing.assert_close(product, form.dense())
        assert len(form.labels) == len(form.factors)

    @pytest.mark.parametrize("shape", [(N_IN,), (3, N_IN), (2, 3, N_IN)])
    def test_multiplying_is_multiplying_with_the_dense_product(self, form, shape):
        x, bias = torch.randn(shape), torch.randn(N_OUT)
        torch.testing.assert_close(form.multiply(x), x @ form.dense().T)
        torch.testing.assert_close(form.multiply(x, bias), x @ form.dense().T + bias)

    def test_looking_up_gives_rows_of_the_dense_product(self, form):
        indices = torch.tensor([[0, 6], [2, 2]])
        torch.testing.assert_close(form.look_up(indices), form.dense()[indices])

    def test_a_module_holds_it_and_its_state_opens_again(self, form, choice):
        module, again = Holder(choice), Holder(choice)
        for parameter, part in zip(get_parameters(module, "weight"), form.parts, strict=True):
            parameter.data = part
        again.load_state_dict(module.state_dict())
        assert torch.equal(get_form(again, "weight").dense(), form.dense())
        assert get_form(again, "weight").choice == choice
        assert again.choices == ({} if choice == DENSE else {"weight": choice})
        assert tuple(again.state_dict()) == tuple(f"weight{suffix}" for suffix in form.suffixes)

    def test_its_cost_is_that_of_what_is_stored(self, form):
        cost = form.cost(calls_per_s=10.0)
        assert cost.bytes == sum(tensor.nbytes for tensor in form.files.values())
        assert 0 < cost.parameters <= sum(part.numel() for part in form.parts)
        with_zeros = LayerSpec("weight", "linear", N_OUT, N_IN).cost_at(replace(form.choice, sparsity=0.0))
        assert cost.macs_per_s == 10.0 * with_zeros.parameters
        assert form.cost().macs_per_s == 0.0

    def test_what_is_foreseen_of_a_layer_is_what_it_costs(self, form, choice):
        foreseen = LayerSpec("weight", "linear", N_OUT, N_IN, calls_per_s=3.0).cost_at(choice)
        found = form.cost(calls_per_s=3.0)
        assert (found.parameters, found.macs_per_s) == (foreseen.parameters, foreseen.macs_per_s)
        assert found.bytes == foreseen.bytes + (N_OUT * 4 if choice == SIXTEEN_BITS else 0)  # the toy's own scales

    def test_only_what_is_no_integer_is_trained(self, choice):
        for parameter in Holder(choice).parameters():
            assert parameter.requires_grad == parameter.is_floating_point()


@pytest.mark.parametrize("choice", [Choice(bits=9), Choice(rank=2, identity=True, sparsity=0.5), Choice(bits=1)])
def test_a_choice_that_no_form_holds_is_refused(choice):
    with pytest.raises(PlanError, match=r"no form of a weight holds the choice \{.*\}; known forms: dense, low_rank"):
        form_of(choice)


def test_torchs_own_modules_hold_dense_matrices():
    assert holding(nn.Linear(2, 3), "weight") == (Dense, DENSE, ("weight",), (3, 2))
    assert get_form(nn.Conv1d(4, 5, 3), "weight").shape == (5, 12)


def test_a_matrix_is_held_under_its_name_and_the_suffixes_of_its_form():
    module = nn.Module()
    assert hold(module, "gate", (4, 6), Choice(rank=2)).names == ("gate_up", "gate_down")
    assert {name: tuple(parameter.shape) for name, parameter in module.named_parameters()} == {
        "gate_up": (4, 2),
        "gate_down": (2, 6),
    }


def test_the_matrix_is_told_from_the_name_of_any_of_its_parts():
    names = ("weight", "weight_up", "weight_down", "weight_codes", "a.weight_ih_l0_down", "upper.bias")
    assert [matrix_of(name) for name in names] == ["weight"] * 4 + ["a.weight_ih_l0", "upper.bias"]


def test_graphs_find_every_factor_by_its_label():
    assert set(LABELS) == {"", ".down", ".up"}


class TestANewForm:
    """Of all that surgery does, nothing has to know it."""

    @pytest.fixture
    def plan(self, recogniser):
        layers = [layer.name for layer in find_layers(recogniser)]
        return CompressionPlan({**dict.fromkeys(layers, SIXTEEN_BITS), layers[0]: Choice(rank=2)})

    @pytest.fixture
    def small(self, recogniser, plan):
        return factorize(recogniser, plan, decompose(recogniser))

    def test_it_is_found_with_its_choice(self, small, recogniser, plan):
        assert current_plan(small) == plan
        assert find_layers(small) == find_layers(recogniser)

    def test_a_model_in_it_computes_what_it_does_with_the_products(self, small, recogniser, batch):
        merged = merge(small)
        assert [type(module) for module in merged.modules()] == [type(module) for module in recogniser.modules()]
        with torch.no_grad():
            torch.testing.assert_close(small(*batch), merged(*batch), atol=1e-5, rtol=1e-5)

    def test_ties_stay_and_integers_are_not_trained(self, small):
        assert small.output.weight_codes is small.embedding.weight_codes
        assert small.query.weight_codes.dtype == torch.int16
        assert small.query.weight_scale.requires_grad

    def test_its_weights_are_counted(self, small, plan):
        cost = model_cost(small)
        assert cost.other.parameters == sum(p.numel() for name, p in small.named_parameters() if "bias" in name)
        scales = sum(p.numel() for name, p in small.named_parameters() if "scale" in name)
        assert cost.parameters(plan) == sum(p.numel() for p in small.parameters()) - scales

    def test_it_is_decomposed_and_factorized_further(self, small):
        again = factorize(small, CompressionPlan.of_ranks({"query.weight": 2}), decompose(small))
        assert current_plan(again).choice("query.weight") == Choice(rank=2)
        assert current_plan(again).choice("cell.weight_ih") == SIXTEEN_BITS

    def test_a_state_fills_the_shapes_of_its_plan(self, small, recogniser, plan, batch):
        opened = reshape(recogniser, plan)
        opened.load_state_dict(small.state_dict())
        assert torch.equal(opened(*batch), small(*batch))

    def test_a_checkpoint_states_its_choice_and_gives_it_back(self, tmp_path):
        model = load("reference/las")
        plan = CompressionPlan({"query.weight": SIXTEEN_BITS, "key.weight": Choice(rank=4)})
        small = factorize(model, plan, decompose(model))
        save(small, tmp_path / "m")
        again = load(tmp_path / "m")
        assert inspect(tmp_path / "m").plan == current_plan(again) == plan
        assert stored_parameters(tmp_path / "m") == present_cost(small).parameters
        assert all(torch.equal(t, again.state_dict()[name]) for name, t in small.state_dict().items())
