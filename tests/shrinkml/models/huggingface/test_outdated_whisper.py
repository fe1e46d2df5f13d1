import json
import shutil

import pytest

from agents.pipeline.folder.language import with_language
from agents.pipeline.folder.run_folder import RunFolder
from shrinkml.errors import CheckpointError
from shrinkml.storage.checkpoint import load, save

GENERATION = "generation_config.json"


@pytest.fixture
def older(stock_dir, tmp_path):
    """Makes a Whisper whose generation_config.json lacks some settings; without a file, where it keeps none."""

    def make(*lacking):
        folder = shutil.copytree(stock_dir("whisper-multilingual"), tmp_path / "older")
        settings = json.loads((folder / GENERATION).read_text())
        kept = {name: value for name, value in settings.items() if name not in lacking}
        (folder / GENERATION).write_text(json.dumps(kept)) if lacking != ("all",) else (folder / GENERATION).unlink()
        return folder

    return make


def told(folder, tmp_path, language="en"):
    (run := tmp_path / "run").mkdir(exist_ok=True)
    return load(with_language(RunFolder(run), str(folder), language))


@pytest.mark.parametrize(
    "lacking",
    [
        ("all",),
        ("lang_to_id", "task_to_id", "is_multilingual"),
        ("task_to_id",),
        ("lang_to_id", "no_timestamps_token_id"),
    ],
    ids=",".join,
)
def test_a_whisper_of_an_older_time_is_told_its_language_by_its_tokenizer(
    lacking, older, stock_dir, tmp_path, waveforms
):
    newer = told(stock_dir("whisper-multilingual"), tmp_path)
    folder = older(*lacking)
    model = told(folder, tmp_path)
    assert model.prompt == newer.prompt
    assert model.network.generation_config.lang_to_id["<|en|>"] == newer.network.generation_config.lang_to_id["<|en|>"]
    features = [model.features(waveform) for waveform in waveforms]
    assert model.transcribe(features) == newer.transcribe(features)
    save(model, tmp_path / "saved")
    assert load(tmp_path / "saved").prompt == model.prompt


def test_what_a_tokenizer_does_not_know_is_to_be_added(older, tmp_path):
    folder = older("lang_to_id", "task_to_id")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("<|en|>", "<|EN|>"))
    message = (
        r"is told a language \(en\), .* lacks lang_to_id, which its tokenizer has no tokens for .*: add \{\"lang_to"
    )
    with pytest.raises(CheckpointError, match=message):
        told(folder, tmp_path)


def test_a_whisper_that_is_not_told_a_language_keeps_its_settings(older):
    assert not hasattr(load(older("lang_to_id")).network.generation_config, "lang_to_id")
