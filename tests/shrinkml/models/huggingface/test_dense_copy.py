"""Dense copies, folder by folder; tests/shrinkml/storage/test_merging.py opens them with transformers alone."""

import json

import pytest
import torch
from safetensors.torch import load_file

import shrinkml
from shrinkml.compression.dropping.drop import drop
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.models.family import Copied
from shrinkml.models.huggingface.dense_copy import card, write_merged
from shrinkml.plan.compression_plan import CompressionPlan

SOURCE = Copied(digest="abc", parameters=1_234, dense_parameters=56_789, dtype="float16")


@pytest.fixture
def small(stock_dir):
    model = shrinkml.load(stock_dir("parakeet_ctc"))
    ranks = {layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))


def test_its_tensors_are_called_and_shaped_as_the_originals(small, stock_dir, tmp_path):
    write_merged(small, tmp_path)
    original, copy = (load_file(folder / "model.safetensors") for folder in (stock_dir("parakeet_ctc"), tmp_path))
    assert {name: tensor.shape for name, tensor in copy.items()} == {n: t.shape for n, t in original.items()}


def test_what_was_dropped_comes_back_with_weights_that_add_nothing(stock_dir, waveforms, tmp_path):
    model = shrinkml.load(stock_dir("parakeet_ctc"))
    features = [model.features(waveforms[0])]
    every = find_residual_branches(model, lambda: model.teacher_forced(features, ["A"]))
    small = drop(model, CompressionPlan(dict(list(every.items())[::3])))
    write_merged(small, tmp_path)
    copy = shrinkml.load(tmp_path)
    assert [name for name, _ in copy.named_parameters()] == [name for name, _ in model.named_parameters()]
    with torch.no_grad():
        scores = [one.teacher_forced(features, ["A"])["ctc"].rows()[0] for one in (copy, small, model)]
    torch.testing.assert_close(scores[0], scores[1])
    assert not torch.allclose(scores[1], scores[2])


@pytest.mark.parametrize(("half", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_weights_are_stored_as_asked_and_computed_in_float32(small, half, dtype, tmp_path):
    write_merged(small, tmp_path, half)
    tensors = load_file(tmp_path / "model.safetensors").values()
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {dtype}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"


def test_whoever_may_read_the_config_may_read_the_weights(small, tmp_path):
    write_merged(small, tmp_path)
    modes = {(tmp_path / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("kind", "opened"), [("whisper", "AutoModelForSpeechSeq2Seq"), ("wav2vec2", "AutoModelForCTC")]
)
def test_the_card_says_what_is_saved_and_how_it_is_opened(stock_dir, kind, opened):
    text = card(shrinkml.load(stock_dir(kind)), SOURCE)
    assert f"from transformers import {opened}, AutoProcessor" in text
    assert "sha256 `abc`) holds 1,234 parameters" in text
    assert "56,789 parameters in float16" in text
