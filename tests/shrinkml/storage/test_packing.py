import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, model_cost, present_cost, sites_by_layer
from shrinkml.compression.surgery import reshape
from shrinkml.errors import CheckpointError, PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import inspect, load, save, stored_parameters
from shrinkml.storage.packing import pack, unpack, weights_in_files

SLACK = 4096  # bytes that a file may have beyond 1 % of its plan: names and places of its tensors


@pytest.fixture
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture
def plan(model):
    """Of all ways that there are, one matrix tied to another among them."""
    ways = [
        Choice(bits=8),
        Choice(rank=4, bits=4),
        Choice(sparsity=0.7),
        Choice(bits=3),
        Choice(rank=6, bits=8),
        Choice(bits=4, sparsity=0.5),
        Choice(rank=8),
        Choice(rank=8, bits=5, sparsity=0.5),
    ]
    names = [layer.name for layer in model_cost(model).layers]
    return CompressionPlan({name: ways[i % len(ways)] for i, name in enumerate(names)})


@pytest.fixture
def small(model, plan):
    return factorize(model, plan, decompose(model))


def test_a_packed_state_opens_in_the_shapes_of_its_plan(small, model, plan):
    state = small.state_dict()
    files = pack(small, state)
    again = unpack(reshape(model, plan), files)
    assert set(again) == set(state)
    opened = reshape(model, plan)
    opened.load_state_dict(again)
    for name, parameter in pack(opened, opened.state_dict()).items():
        assert torch.equal(parameter, files[name])


def test_weights_are_counted_where_bytes_hold_them(small):
    files = pack(small, small.state_dict())
    counts = weights_in_files(small, files)
    assert all(name.endswith(("_packed", "_values", "_mask")) for name in counts)
    assert sum(counts.get(name, tensor.numel()) for name, tensor in files.items()) == present_cost(small).parameters


def test_bytes_that_hold_no_such_matrix_are_refused_by_name(small, model, plan):
    files = pack(small, small.state_dict())
    name = next(name for name in files if name.endswith("_packed"))
    with pytest.raises(PlanError, match=rf"layer '{name.removesuffix('_packed')}': .* bytes hold no matrix"):
        unpack(reshape(model, plan), {**files, name: files[name][:-1]})


def test_a_checkpoint_takes_the_bytes_of_its_plan_and_opens_alike(model, small, plan, tmp_path):
    save(small, tmp_path / "m")
    found, again = inspect(tmp_path / "m"), load(tmp_path / "m")
    assert found.plan == current_plan(again) == plan
    foreseen = model_cost(model).cost(plan)
    assert present_cost(again) == present_cost(small) == foreseen
    assert abs(found.stored_bytes - foreseen.bytes) <= 0.01 * foreseen.bytes + SLACK
    assert stored_parameters(tmp_path / "m") == foreseen.parameters
    frames = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(0))
    assert again.transcribe(list(frames)) == small.transcribe(list(frames))
    assert all(torch.equal(a, b) for a, b in zip(_products(again), _products(small), strict=True))


def test_a_checkpoint_with_another_mask_is_broken(small, tmp_path):
    save(small, tmp_path / "m")
    config = (tmp_path / "m" / "config.json").read_text()
    (tmp_path / "m" / "config.json").write_text(config.replace('"sparsity": 0.7', '"sparsity": 0.8'))
    with pytest.raises(CheckpointError, match=r"broken checkpoint: layer .* a mask .* keeps other than .* of a line"):
        load(tmp_path / "m")


def test_a_checkpoint_that_lost_bytes_is_broken(small, tmp_path):
    save(small, tmp_path / "m")
    config = (tmp_path / "m" / "config.json").read_text()
    (tmp_path / "m" / "config.json").write_text(config.replace('"bits": 3', '"bits": 5'))
    with pytest.raises(CheckpointError, match=r"broken checkpoint: layer .* bytes hold no matrix .* under"):
        load(tmp_path / "m")


def _products(model):
    return [site.form.dense() for site in sites_by_layer(model).values()]
