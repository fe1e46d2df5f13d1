"""A Whisper of several languages, told which one a job is about."""

import json
from pathlib import Path
from typing import Any

from agents.pipeline.folder.run_folder import ORIGINAL, RunFolder
from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.models.families import FAMILIES
from shrinkml.storage.model_folder import look_into

GENERATION = "generation_config.json"


def with_language(run: RunFolder, model: str, language: str | None) -> str:
    """`model`, or a folder of links to its files whose generation is told `language`, as are checkpoints made from it.

    Raises:
        ConfigError: a language is named, and the model is no Whisper.
        CheckpointError: no model, or a broken one.
    """
    if language is None:
        return model
    found = look_into(model)
    told = found.family.language_settings(found.config, language)
    if told is None:
        able = ", ".join(family.multilingual for family in FAMILIES.values() if family.multilingual)
        raise ConfigError(f"language is {language!r}, but only {able} can be told one, and {model} is none")
    settings = {**_settings(found.path / GENERATION), **told}
    folder = run.root / ORIGINAL
    folder.mkdir(exist_ok=True)
    for path in found.path.resolve().iterdir():
        link = folder / path.name
        if path.name != GENERATION and path.is_file():
            link.unlink(missing_ok=True)  # of a run before; it may lead nowhere now
            link.symlink_to(path.resolve())
    (folder / GENERATION).write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return str(folder)


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise CheckpointError(f"{path} is no valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} holds a {type(settings).__name__}; allowed: an object of settings")
    return settings
