"""What each family of models keeps in a checkpoint beside its weights and its plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shrinkml.models.huggingface import opening
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.las.tokenizer import Tokenizer
from shrinkml.storage.model_folder import HUGGING_FACE, LAS, VOCABULARY


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of one family are written and built again.

    Attributes:
        keys: entries of config.json that it needs.
        describe: those entries, of a model.
        write: writes the model's other files to a folder.
        build: the dense model, from config.json and the folder; its weights are not filled in.
    """

    keys: tuple[str, ...]
    describe: Callable[[Any], dict[str, Any]]
    write: Callable[[Any, Path], None]
    build: Callable[[Mapping[str, Any], Path], Any]


def _describe_las(model: Las) -> dict[str, Any]:
    return {"model": model.config.to_json(), "unit": model.tokenizer.unit}


def _write_las(model: Las, folder: Path) -> None:
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token in model.tokenizer.vocabulary))


def _build_las(config: Mapping[str, Any], folder: Path) -> Las:
    tokenizer = Tokenizer((folder / VOCABULARY).read_text().splitlines(), config["unit"])
    return Las(LasConfig.from_json(config["model"]), tokenizer)


FAMILIES = {
    LAS: Family(("model", "unit"), _describe_las, _write_las, _build_las),
    HUGGING_FACE: Family(
        ("model",),
        lambda model: {"model": opening.describe(model)},
        opening.write_files,
        lambda config, folder: opening.build(config["model"], folder),
    ),
}
