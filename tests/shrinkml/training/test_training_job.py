from pathlib import Path

import pytest
import yaml

import shrinkml
from shrinkml.errors import CheckpointError, ConfigError, ManifestError, StoppedError
from shrinkml.measure.evaluation import evaluate
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import inspect
from shrinkml.training.dataset import load_dataset
from shrinkml.training.training_job import read_recipe, train_from_recipe

SHAPE = {"n_mels": 20, "hidden": 12, "decoder": 12, "embedding": 8, "reductions": [2]}


@pytest.fixture
def recipe_file(tmp_path: Path, tiny_data: dict[str, Path]) -> Path:
    value = {
        **{split: str(path) for split, path in tiny_data.items()},
        "shape": SHAPE,
        "epochs": 2,
        "batch_size": 16,
        "seed": 4,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_recipe_becomes_a_checkpoint_with_its_figures(recipe_file, tmp_path):
    figures = train_from_recipe(read_recipe(recipe_file), tmp_path / "model")
    model = shrinkml.load(tmp_path / "model")
    assert model.config.hidden == 12
    assert figures["test"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert inspect(tmp_path / "model").provenance["recipe"]["seed"] == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "recipe.yaml"]


def test_a_folder_that_holds_something_else_is_refused_before_training(recipe_file, tmp_path):
    with pytest.raises(CheckpointError, match=r"is there and holds what ShrinkML did not write: recipe\.yaml"):
        train_from_recipe(read_recipe(recipe_file), tmp_path, on_epoch=lambda epoch: pytest.fail("it trained"))


def test_a_stopped_training_goes_on_to_the_same_checkpoint(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file)
    train_from_recipe(recipe, tmp_path / "whole")
    epochs = []
    with pytest.raises(StoppedError):
        train_from_recipe(recipe, tmp_path / "model", on_epoch=epochs.append, should_stop=lambda: len(epochs) == 1)
    assert not (tmp_path / "model").exists()
    train_from_recipe(recipe, tmp_path / "model", on_epoch=epochs.append)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert inspect(tmp_path / "model").digest == inspect(tmp_path / "whole").digest


def test_manifest_problems_stop_it_before_any_work(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file)
    with pytest.raises(ManifestError):
        train_from_recipe(recipe.model_copy(update={"dev": recipe.train}), tmp_path / "out" / "model")
    assert not (tmp_path / "out").exists()


def test_relative_manifests_are_relative_to_the_recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text("{train: a.jsonl, dev: b.jsonl, test: ../c.jsonl}")
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert (recipe.train, recipe.test) == (str(tmp_path / "a.jsonl"), str(tmp_path.parent / "c.jsonl"))


def test_a_teacher_is_taken_over_and_learnt_from(recipe_file, tiny_model_dir, tiny_data, tmp_path):
    """With the teacher's shape and no training to speak of, it is the teacher."""
    teacher = shrinkml.load(tiny_model_dir)
    taught = read_recipe(recipe_file).model_copy(
        update={"teacher": str(tiny_model_dir), "shape": teacher.config.to_json(), "epochs": 1, "learning_rate": 1e-9}
    )
    figures = train_from_recipe(taught, tmp_path / "model")
    own = evaluate(teacher, load_dataset(teacher, read_manifest(tiny_data["test"])), stored_bytes=0)
    assert figures["test"]["wer"] == own.wer


def test_a_teacher_is_a_bundled_model_or_a_path_from_the_recipe(tmp_path):
    text = "{train: a.jsonl, dev: b.jsonl, test: c.jsonl, teacher: %s}"
    found = []
    for teacher in ("reference/las", "../mine"):
        (tmp_path / "recipe.yaml").write_text(text % teacher)
        found.append(read_recipe(tmp_path / "recipe.yaml").teacher)
    assert found == ["reference/las", str(tmp_path.parent / "mine")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{train: a, dev: b}", "no valid recipe.*test"),
        ("{train: a, dev: b, test: c, epoks: 3}", "no valid recipe.*epoks"),
        ("[unclosed", "no valid YAML.*write a recipe like"),
    ],
)
def test_a_wrong_recipe_is_a_clear_error(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        read_recipe(tmp_path / "recipe.yaml")


def test_a_missing_recipe_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="no recipe"):
        read_recipe(tmp_path / "nothing.yaml")
