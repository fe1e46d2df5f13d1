import json

import pytest

from server.jobs.model_facts import bundled_models, check_model
from shrinkml.errors import CheckpointError


def test_a_model_is_described_from_its_files(data_folder):
    model = check_model(str(data_folder / "model"))
    assert (model.family, model.parameters) == ("las", 12)
    assert model.bytes == (data_folder / "model" / "model.safetensors").stat().st_size


def test_a_real_checkpoint_is_counted_as_torch_counts_it(tiny_model_dir):
    from shrinkml.storage.checkpoint import inspect, stored_parameters

    model = check_model(str(tiny_model_dir))
    assert (model.family, model.parameters) == (inspect(tiny_model_dir).family, stored_parameters(tiny_model_dir))


@pytest.mark.parametrize("missing", ["config.json", "vocabulary.txt", "model.safetensors"])
def test_a_missing_part_is_named(tmp_path, missing):
    for part in {"config.json", "vocabulary.txt", "model.safetensors"} - {missing}:
        (tmp_path / part).write_text('{"format": "shrinkml/1", "family": "las"}')
    with pytest.raises(CheckpointError, match=f"is no checkpoint: {missing} missing"):
        check_model(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("no json", "is no JSON"),
        ("[]", "has format 'list'"),
        ("{}", "describes no model that is known"),
        ('{"format": "shrinkml/1", "family": "rnnt"}', "is no model's description: its family is 'rnnt'"),
    ],
)
def test_a_config_that_describes_no_model_is_refused(tmp_path, config, problem):
    for part, content in {"config.json": config, "vocabulary.txt": "", "model.safetensors": ""}.items():
        (tmp_path / part).write_text(content)
    with pytest.raises(CheckpointError, match=rf"config\.json {problem}"):
        check_model(str(tmp_path))


def test_weights_that_are_no_safetensors_are_refused(tmp_path):
    for part, content in {
        "config.json": json.dumps({"format": "shrinkml/1", "family": "las"}),
        "vocabulary.txt": "",
        "model.safetensors": "x",
    }.items():
        (tmp_path / part).write_text(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors is no safetensors file"):
        check_model(str(tmp_path))


def test_a_bundled_name_does_not_lead_out_of_the_package(data_folder):
    name = f"reference/{'../' * 30}{str(data_folder / 'model').lstrip('/')}"
    with pytest.raises(CheckpointError, match=r"no model 'reference/\.\./"):
        check_model(name)


def test_a_bundled_model_can_be_named_as_it_is_listed():
    for model in bundled_models():
        assert check_model(model.name) == model
