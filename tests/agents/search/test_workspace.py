import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.search.workspace import (
    PROXY,
    RECORD,
    StoredDecompositions,
    database_of,
    own_files,
    read_problem,
    read_proxy,
    read_record,
    write_factors,
    write_workspace,
)
from envs.menus import build_menus
from envs.rank_options import rank_problem, with_rank_losses
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import model_cost
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import parameter_prices
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load
from shrinkml.training.dataset import load_dataset


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture(scope="module")
def proxy(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"])[:6])


@pytest.fixture(scope="module")
def decompositions(model):
    return decompose(model)


@pytest.fixture(scope="module")
def problem(model, decompositions):
    cost = model_cost(model)
    problem = rank_problem(
        cost,
        menus=build_menus(cost.layers, current_ranks=CompressionPlan()),
        prices=parameter_prices(cost),
        compression_ratio=2.0,
        spectra={name: tuple(found.singular_values.tolist()) for name, found in decompositions.items()},
        baseline_wer=0.125,
    )
    curves = {name: tuple(0.5 for _ in range(found.max_rank + 1)) for name, found in decompositions.items()}
    return with_rank_losses(problem, curves, tokens_per_utterance=6.5)


@pytest.fixture
def workspace(tmp_path, problem, tiny_model_dir, decompositions, proxy):
    """A workspace beside its own copy of the model, so that both can be moved."""
    shutil.copytree(tiny_model_dir, tmp_path / "job" / "model")
    folder = tmp_path / "job" / "workspace"
    folder.mkdir()
    write_factors(folder, decompositions.items())
    write_workspace(
        folder,
        problem=problem,
        model=tmp_path / "job" / "model",
        proxy=proxy,
        cache=tmp_path / "job" / "evaluations.sqlite",
    )
    return folder


def test_what_was_written_is_read_again(workspace, problem, decompositions, proxy):
    assert read_problem(workspace) == problem
    again = StoredDecompositions(workspace)
    assert list(again) == list(decompositions)
    for name, decomposition in decompositions.items():
        for part in ("up", "down", "singular_values"):
            assert getattr(again[name], part).equal(getattr(decomposition, part))
    read = read_proxy(workspace)
    assert (read.texts, read.durations_s, read.speakers) == (proxy.texts, proxy.durations_s, proxy.speakers)
    assert all(a.equal(b) for a, b in zip(read.features, proxy.features, strict=True))


def test_factors_of_a_job_that_was_begun_before_inputs_were_told_open(workspace, decompositions):
    for path in workspace.glob("factors*"):
        tensors = load_file(path)
        save_file({name: t for name, t in tensors.items() if not name.endswith(("/mean", "/root"))}, path)
    for layer, found in StoredDecompositions(workspace).items():
        assert torch.equal(found.up, decompositions[layer].up)
        assert not found.mean.any()
        assert torch.equal(found.spread, torch.ones(found.down.shape[1]))


def test_the_record_is_typed_and_its_paths_lead_from_the_folder(workspace, proxy):
    record = read_record(workspace)
    assert (record.model, record.cache, record.device) == ("../model", "../evaluations.sqlite", "cpu")
    assert record.texts == proxy.texts
    assert database_of(workspace) == workspace.parent.resolve() / "evaluations.sqlite"


def test_a_workspace_is_made_of_these_files(workspace, decompositions):
    names = [path.name for path in own_files(workspace)]
    assert names == ["problem.json", *(f"factors-{n:04}.safetensors" for n in range(len(decompositions))), PROXY]
    assert {*names, RECORD} == {path.name for path in workspace.iterdir()}


def test_what_a_pair_has_in_common_is_written_once_and_read_by_either_name(tmp_path, decompositions):
    first, second, *_ = decompositions
    found = decompositions[second]
    write_factors(tmp_path, [(second, found), (first, found)], {first: second})
    stored = StoredDecompositions(tmp_path)
    assert {*stored} == {first, second}
    assert len(list(tmp_path.glob("factors*"))) == 1
    assert torch.equal(stored[first].up, found.up)
    assert torch.equal(stored[second].up, found.up)
