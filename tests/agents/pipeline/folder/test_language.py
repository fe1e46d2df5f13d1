import shutil

import pytest

from agents.pipeline.folder.language import with_language
from agents.pipeline.folder.run_folder import RunFolder
from shrinkml.errors import CheckpointError, ConfigError


@pytest.mark.parametrize(("content", "message"), [("{", "is no valid JSON"), ("[1]", "holds a list")])
def test_settings_that_cannot_be_read_are_not_told_a_language(content, message, stock_dir, tmp_path):
    model = shutil.copytree(stock_dir("whisper-multilingual"), tmp_path / "model")
    (model / "generation_config.json").write_text(content)
    (run := tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match=rf"model/generation_config\.json {message}"):
        with_language(RunFolder(run), str(model), "en")
    assert not list(run.iterdir())


def test_only_a_whisper_is_told_a_language(stock_dir, tiny_model_dir, tmp_path):
    for model in (stock_dir("wav2vec2"), tiny_model_dir):
        with pytest.raises(ConfigError, match=r"language is 'en', but only a Whisper can be told one, and \S+ is none"):
            with_language(RunFolder(tmp_path), str(model), "en")
    assert with_language(RunFolder(tmp_path), "reference/las", None) == "reference/las"
    assert not list(tmp_path.iterdir())
