import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import shrinkml
from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import svd
from shrinkml.compression.sites import find_layers, model_cost
from shrinkml.compression.unit_pairs import find_unit_pairs
from shrinkml.compression.units import decompose_units
from shrinkml.errors import CheckpointError, UnknownNameError
from shrinkml.models.heads import ATTENTION
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import DTYPES, inspect, load, locate, save, stored_parameters
from shrinkml.weights.dense import Dense

TEXTS = ["red lamp on", "off"]


@pytest.fixture
def model() -> Las:
    torch.manual_seed(0)
    shape = LasConfig(n_mels=8, stack=2, hidden=12, decoder=10, embedding=6)
    return Las(shape, Tokenizer.from_texts(["red green lamp on off"], "word")).eval()


@pytest.fixture
def speech() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(frames, 8, generator=generator) for frames in (37, 60)]


def compressed(model: Las) -> Las:
    plan = CompressionPlan.of_ranks({layer.name: 3 for layer in find_layers(model)[:6]})
    return factorize(model, plan, {name: svd(Dense(weight_of(model, name))) for name, _ in plan})


def weight_of(model: Las, name: str) -> torch.Tensor:
    return model.state_dict()[name]


def test_a_dense_model_comes_back_as_it_was(model, speech, tmp_path):
    save(model, tmp_path / "m")
    back = shrinkml.load(tmp_path / "m")
    found, expected = (one.teacher_forced(speech, TEXTS)[ATTENTION].logits for one in (back, model))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_model_with_cut_units_comes_back_as_narrow_as_it_was_and_as_small_as_its_plan(
    model, speech, tmp_path, bits, dtype
):
    def run():
        return model.teacher_forced(speech, TEXTS)

    pairs = find_unit_pairs(model.module, run)
    ((first, second),) = pairs.items()
    choice = Choice(outputs=4, bits=bits)
    plan = CompressionPlan({first: choice, second: choice.following})
    small = factorize(model, plan, dict(decompose_units(model, pairs, calibrate(model, run))))
    save(small, tmp_path / "m", dtype=dtype)
    back, found = shrinkml.load(tmp_path / "m"), inspect(tmp_path / "m")
    cost = model_cost(model, bits=8 * DTYPES[dtype].itemsize).cost(plan)
    assert found.plan == plan
    assert stored_parameters(tmp_path / "m") == cost.parameters
    assert 0 <= found.stored_bytes - cost.bytes <= 8192  # names, shapes and running statistics
    assert back.get_parameter(f"{first.removesuffix('weight')}bias").shape == (4,)
    now, expected = (one.teacher_forced(speech, TEXTS)[ATTENTION].logits for one in (back, small))
    torch.testing.assert_close(now, expected, atol=1e-5 if dtype == "float32" else 0.02, rtol=0.0)


def test_a_factorized_model_comes_back_in_a_fresh_process_with_the_core_alone(model, speech, tmp_path):
    small = compressed(model)
    save(small, tmp_path / "m")
    torch.save(speech, tmp_path / "speech.pt")
    script = (
        "import sys, json, torch, shrinkml\n"
        f"model = shrinkml.load({str(tmp_path / 'm')!r})\n"
        f"print(json.dumps(model.transcribe(torch.load({str(tmp_path / 'speech.pt')!r}))))\n"
        "heavy = {'ray', 'fastapi', 'stable_baselines3', 'gymnasium', 'sqlalchemy', 'envs', 'agents', 'server'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(output.stdout) == small.transcribe(speech)


def test_parameters_counted_from_the_file_are_the_models(model, tmp_path):
    small = compressed(model)
    save(small, tmp_path / "m")
    assert stored_parameters(tmp_path / "m") == sum(p.numel() for p in small.parameters())
    assert stored_parameters(tmp_path / "m") < sum(p.numel() for p in model.parameters())


def test_half_precision_halves_the_weights(model, tmp_path):
    save(model, tmp_path / "full")
    save(model, tmp_path / "half", dtype="float16")
    assert {t.dtype for t in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float16}
    assert inspect(tmp_path / "half").stored_bytes < 0.7 * inspect(tmp_path / "full").stored_bytes


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_the_files_is_for_the_umask_to_say(model, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save(model, tmp_path / "m")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "m").iterdir()} == {mode}


def test_saving_again_replaces_the_folder(model, tmp_path):
    save(model, tmp_path / "m")
    digest = inspect(tmp_path / "m").digest
    with torch.no_grad():
        model.output.bias += 1
    save(model, tmp_path / "m")
    assert inspect(tmp_path / "m").digest != digest
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_save_that_fails_leaves_nothing_behind(model, tmp_path):
    with pytest.raises(TypeError):
        save(model, tmp_path / "m", provenance={"not json": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_multiplies_in_int8_is_only_to_run(model, tmp_path):
    save(model, tmp_path / "good")
    before = inspect(tmp_path / "good").digest
    with pytest.raises(CheckpointError, match="multiplies in int8, which is only to run it"):
        save(load("reference/ctc", int8=True), tmp_path / "good")
    assert inspect(tmp_path / "good").digest == before


def test_an_unknown_dtype_is_refused(model, tmp_path):
    with pytest.raises(UnknownNameError, match="no dtype named 'float8'; known: float16, float32"):
        save(model, tmp_path / "m", dtype="float8")


def test_inspect_tells_plan_and_provenance(model, tmp_path):
    save(compressed(model), tmp_path / "m", provenance={"job": "demo"})
    info = inspect(tmp_path / "m")
    assert set(info.plan.ranks.values()) == {3}
    assert info.provenance == {"job": "demo"}


def test_a_missing_folder_names_what_is_bundled():
    with pytest.raises(CheckpointError, match=r"no model 'nowhere'; give the folder of a checkpoint"):
        locate("nowhere")


def test_an_empty_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"is no checkpoint: config\.json missing, which has our `format` or a"):
        load(tmp_path)


def break_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other/9"}, "has format 'other/9'; this version reads 'shrinkml/1'"),
        ({"family": "las2"}, "its family is 'las2'; known: las, transducer, transformer, huggingface"),
        ({"model": {"hidden": -1}}, "hidden is -1"),
        ({"model": {"hidden": 10**9}}, "broken checkpoint"),
        ({"unit": "syllable"}, "unit is 'syllable'; allowed: word, char"),
        ({"dtype": "int3"}, "dtype is 'int3'; allowed: float16, float32"),
        ({"plan": {"nothing": 3}}, "broken checkpoint"),
        ({"plan": {"cell.weight_ih": 2}}, "do not fit"),
    ],
)
def test_a_wrong_config_is_a_clear_error(model, tmp_path, changes, message):
    save(model, tmp_path / "m")
    break_config(tmp_path / "m", **changes)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "m")


def test_a_config_that_is_no_json_is_a_clear_error(model, tmp_path):
    save(model, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is no JSON"):
        load(tmp_path / "m")


def test_a_config_without_a_plan_is_a_clear_error(model, tmp_path):
    save(model, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    del config["plan"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="lacks plan"):
        load(tmp_path / "m")


def test_truncated_weights_are_a_clear_error(model, tmp_path):
    save(model, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="broken checkpoint"):
        load(tmp_path / "m")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        stored_parameters(tmp_path / "m")


def test_nan_weights_are_a_clear_error(model, tmp_path):
    save(model, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["output.weight"][0, 0] = float("nan")
    save_file(weights, tmp_path / "m" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"NaN or infinite weights: output\.weight"):
        load(tmp_path / "m")
