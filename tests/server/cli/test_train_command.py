"""The train command as users see it; what training does is tested in tests/shrinkml/training."""

import json

import pytest

from shrinkml.errors import StoppedError
from shrinkml.training import training_job

FIGURES = {
    split: {"wer": 0.125, "wer_ci95": [0.1, 0.15], "cer": 0.05, "parameters": 1234567} for split in ("dev", "test")
}


def test_a_recipe_that_is_not_there_is_an_error_on_one_line(shrinkml, tmp_path):
    code, _, err = shrinkml("train", tmp_path / "none.yaml", "--out", tmp_path / "model")
    assert (code, err.startswith("error: "), err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "model").exists()


@pytest.fixture
def trained(monkeypatch):
    """Training that takes no time."""
    monkeypatch.setattr(training_job, "read_recipe", lambda path: path)
    monkeypatch.setattr(training_job, "train_from_recipe", lambda *_, **__: FIGURES)


def test_the_figures_of_every_split_are_shown(shrinkml, trained, tmp_path):
    lines = shrinkml("train", "recipe.yaml", "--out", tmp_path).out.splitlines()
    assert lines == [
        "dev: 12.50% WER (95 %: 10.00% to 15.00%), 5.00% CER",
        "test: 12.50% WER (95 %: 10.00% to 15.00%), 5.00% CER",
        f"{tmp_path}: 1,234,567 parameters",
    ]
    assert json.loads(shrinkml("train", "recipe.yaml", "--out", tmp_path, "--json").out) == FIGURES


def test_training_that_was_stopped_says_how_it_goes_on(shrinkml, trained, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise StoppedError("stopped in epoch 2")

    monkeypatch.setattr(training_job, "train_from_recipe", stop)
    code, _, err = shrinkml("train", "recipe.yaml", "--out", tmp_path)
    assert (code, err) == (130, "Stopped (stopped in epoch 2). The same command goes on from there.\n")
