import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from shrinkml.errors import CheckpointError
from shrinkml.storage.checkpoint import inspect, stored_parameters
from shrinkml.storage.model_folder import look_into

ROOT = Path(__file__).parents[3]


@pytest.fixture
def stock(tmp_path):
    """A folder as transformers writes them, with the least that makes one."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper", "dtype": "float16"}))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros((3, 4), np.float16)}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_folder_of_transformers_is_described_from_its_files(stock):
    folder = look_into(stock)
    assert (folder.family.stored_as, folder.stock) == ("huggingface", True)
    assert folder.stored_parameters == stored_parameters(stock) == 12
    assert folder.stored_bytes == (stock / "model.safetensors").stat().st_size
    assert (inspect(stock).dtype, dict(inspect(stock).plan)) == ("float16", {})


def test_the_digest_tells_every_file_that_makes_the_model(stock):
    before = look_into(stock).digest
    (stock / "README.md").write_text("about it")
    assert look_into(stock).digest == before
    (stock / "tokenizer.json").write_text("{ }")
    assert look_into(stock).digest != before


def test_tensors_that_are_no_parameters_are_not_counted(stock):
    tensors = {"weight": np.zeros((3, 4)), "norm.running_mean": np.zeros(4)}
    save_file(tensors, stock / "model.safetensors", {"buffers": '["norm.running_mean"]'})
    assert look_into(stock).stored_parameters == 12


def test_a_pickle_beside_safetensors_is_not_looked_at(stock):
    (stock / "training_args.bin").write_bytes(b"anything")
    assert look_into(stock).weights == (stock / "model.safetensors",)


@pytest.mark.parametrize("content", ["[]", '"text"', "3"])
def test_a_config_that_is_no_object_is_refused(stock, content):
    (stock / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json has format '\w+'; a JSON object describes a model"):
        look_into(stock)


def test_looking_loads_neither_torch_nor_transformers(stock):
    program = (
        "import sys, shrinkml.storage.model_folder as f\n"
        f"f.look_into({str(stock)!r}).stored_parameters\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_an_export_is_told_from_a_broken_checkpoint(tmp_path):
    (tmp_path / "recogniser.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is an export for ONNX Runtime, not a checkpoint: give the checkpoint"):
        look_into(tmp_path)


@pytest.mark.parametrize("with_config", [True, False])
def test_an_adapter_is_to_be_merged_first(stock, with_config):
    (stock / "model.safetensors").rename(stock / "adapter_model.safetensors")
    (stock / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    if not with_config:
        (stock / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"holds an adapter \(LoRA .*merge it into the model first, .*merge_and_unl"
    ):
        look_into(stock)
