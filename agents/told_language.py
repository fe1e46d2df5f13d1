"""A Whisper of several languages, told which one a job is about."""

import json
from pathlib import Path

from agents.run_folder import ORIGINAL, RunFolder
from shrinkml.errors import ConfigError
from shrinkml.folders import look_into

GENERATION = "generation_config.json"


def told_language(run: RunFolder, model: str, language: str | None) -> str:
    """`model`, or a folder of links to its files whose generation is told `language`, as are checkpoints made from it.

    Raises:
        ConfigError: a language is named, and the model is no Whisper.
        CheckpointError: no model, or a broken one.
    """
    if language is None:
        return model
    found = look_into(model)
    if found.config.get("model_type") != "whisper":
        raise ConfigError(f"language is {language!r}, but only a Whisper can be told one, and {model} is none")
    folder = run.root / ORIGINAL
    folder.mkdir(exist_ok=True)
    for path in found.path.resolve().iterdir():
        link = folder / path.name
        if path.name != GENERATION and path.is_file() and not link.exists():
            link.symlink_to(path.resolve())
    _tell(found.path / GENERATION, folder / GENERATION, language)
    return str(folder)


def _tell(source: Path, target: Path, language: str) -> None:
    settings = json.loads(source.read_text(encoding="utf-8")) if source.exists() else {}
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(json.dumps({**settings, "language": language, "task": "transcribe"}, indent=2), encoding="utf-8")
    partial.replace(target)
