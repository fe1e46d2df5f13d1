import json
import shutil

import numpy as np
import pytest

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import inspect, load, save
from shrinkml.storage.compression_record import SCHEMA, installed, write_record


@pytest.fixture
def small_dir(tiny_model_dir, tmp_path):
    """The tiny recogniser with one of its layers at rank 4."""
    model = load(tiny_model_dir)
    save(
        factorize(model, CompressionPlan.of_ranks({"encoder.0.weight_ih_l0": 4}), decompose(model)), tmp_path / "small"
    )
    return tmp_path / "small"


def record_of(folder):
    written = write_record(folder, source="abc", data={"dev": "def"}, normaliser="basic/1", seed=3)
    return written.to_json()


def test_it_tells_every_layer_and_where_the_model_comes_from(small_dir, tiny_model_dir):
    record = record_of(small_dir)
    assert json.loads((small_dir / "compression.json").read_text()) == record
    assert record["schema"] == SCHEMA
    ranks = {layer["name"]: layer["rank"] for layer in record["layers"] if layer["rank"] is not None}
    assert ranks == inspect(small_dir).plan.ranks == {"encoder.0.weight_ih_l0": 4}
    dense = sum(rows * columns for rows, columns in (layer["shape"] for layer in record["layers"]))
    assert dense < record["dense_parameters"] == sum(p.numel() for p in load(tiny_model_dir).parameters())
    assert record["parameters"] == sum(p.numel() for p in load(small_dir).parameters())
    assert record["provenance"].pop("versions").keys() >= {"python", "shrinkml", "torch", "transformers"}
    assert record["provenance"] == {"source": "abc", "data": {"dev": "def"}, "normaliser": "basic/1", "seed": 3}


@pytest.mark.parametrize("family", ["las", "huggingface"])
def test_what_is_said_about_a_model_is_no_part_of_it(small_dir, family, tmp_path):
    folder = small_dir
    if family == "huggingface":  # a folder of transformers, told by its files alone
        folder = tmp_path / "stock"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}))
        shutil.copy(small_dir / "model.safetensors", folder)
    before = inspect(folder).digest
    (folder / "compression.json").write_text("{}")
    assert inspect(folder).digest == before


def test_only_what_is_installed_has_a_version():
    assert installed(("numpy", "no-such-package")) == {"numpy": np.__version__}
