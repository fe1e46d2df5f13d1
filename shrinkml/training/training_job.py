"""Training a recogniser from a YAML recipe: how the reference models come about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shrinkml.errors import ConfigError
from shrinkml.events import ShouldStop
from shrinkml.measure.evaluation import evaluate
from shrinkml.models.families import fresh_kinds
from shrinkml.models.family import FreshModel, Operations
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.manifest import check_splits
from shrinkml.storage.bundle import BUNDLED
from shrinkml.storage.checkpoint import inspect, load, save
from shrinkml.storage.replacing import check_replaceable, replacing
from shrinkml.training.dataset import Dataset, load_dataset
from shrinkml.training.lesson import take_lesson_
from shrinkml.training.train import Epoch, train
from shrinkml.yaml_file import read_yaml

PATHS = ("train", "dev", "test")  # fields of a recipe
KINDS = tuple(fresh_kinds())
OF_CHARACTERS = ", ".join(kind for kind, family in fresh_kinds().items() if "char" in family.units)


class Recipe(BaseModel):
    """A recipe to train a recogniser by. Relative paths mean relative to the recipe's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str = Field(description="Manifest to learn from.")
    dev: str = Field(description="Manifest of the figures that choices are made by.")
    test: str = Field(description="Manifest of the final figures.")
    family: str = Field(KINDS[0], description=f"What to train: {', '.join(KINDS)}.")
    unit: Literal["word", "char"] = Field(
        "word", description=f"What a token of the vocabulary is; char for {OF_CHARACTERS} only."
    )
    shape: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields to change of LasConfig, TransducerConfig or TransformerConfig, or of the network's config "
        "in transformers.",
    )
    teacher: str | None = Field(
        None, description="A checkpoint whose weights are taken over where they fit, and whose posteriors are learnt."
    )
    epochs: int = Field(24, ge=1, description="Passes over train.")
    learning_rate: float = Field(2e-3, gt=0.0, le=1.0, description="Peak of the schedule (AdamW).")
    batch_size: int = Field(64, ge=1, description="Utterances per step.")
    warp: float = Field(0.0, ge=0.0, le=0.5, description="Stretch of the frequency axis, at most.")
    mixed_precision: bool = Field(
        False, description="Multiply in bfloat16: faster where the processor can. Not for recognisers of LSTMs."
    )
    seed: int = Field(0, ge=0, description="Of weights, order, dropout and masks.")
    dtype: Literal["float16", "float32"] = Field("float16", description="Of the stored weights.")

    @model_validator(mode="after")
    def _check_family(self) -> "Recipe":
        kinds = fresh_kinds()
        if self.family not in kinds:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(kinds)}")
        family = kinds[self.family]
        if self.unit not in family.units:
            raise ValueError(f"unit is {self.unit!r}; allowed for {self.family}: {', '.join(family.units)}")
        if self.mixed_precision:
            family.check_mixed_precision("mixed_precision")
        return self


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`, its manifests made absolute.

    Raises:
        ConfigError: missing file, broken YAML or invalid fields.
    """
    try:
        recipe = Recipe.model_validate(read_yaml(path, kind="recipe", like="configs/train/commands.yaml"))
    except ValidationError as error:
        raise ConfigError(f"{path} is no valid recipe: {error}") from error
    paths = {field: str((path.parent / getattr(recipe, field)).resolve()) for field in PATHS}
    if recipe.teacher is not None and not recipe.teacher.startswith(BUNDLED):
        paths["teacher"] = str((path.parent / recipe.teacher).resolve())
    return recipe.model_copy(update=paths)


def train_from_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    should_stop: ShouldStop = lambda: False,
) -> dict[str, Any]:
    """Trains what `recipe` says, writes the checkpoint `folder`, and returns its Evaluation on dev and test.

    A killed training goes on from its last epoch: its state lies beside `folder` until the checkpoint is written.

    Raises:
        ManifestError: the data have problems; all are listed.
        ConfigError: no model of the family has the shape, or its teacher has other tokens.
        CheckpointError: something else lies in `folder`, or the teacher is none.
        StoppedError: `should_stop` said so.
    """
    check_replaceable(folder)
    splits = check_splits({split: Path(getattr(recipe, split)) for split in ("train", "dev", "test")})
    operations = fresh_kinds()[recipe.family].operations()
    texts = [utterance.text for utterance in splits["train"]]
    model = operations.fresh(FreshModel(recipe.family, recipe.shape, texts, recipe.unit, recipe.seed))
    soft = None
    if recipe.teacher is not None:
        soft = take_lesson_(model, load(recipe.teacher), splits["train"], should_stop=should_stop)
    folder.parent.mkdir(parents=True, exist_ok=True)
    state_file = folder.with_name(f".{folder.name}.training")
    train(
        operations.learner(model, recipe.seed),
        load_dataset(model, splits["train"]),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        warp=recipe.warp,
        mixed_precision=recipe.mixed_precision,
        soft_targets=soft,
        state_file=state_file,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    _save(model, operations, folder, recipe)
    state_file.unlink(missing_ok=True)
    return {split: _measured(folder, load_dataset(model, splits[split])) for split in ("dev", "test")}


def _save(model: AsrModel, operations: Operations, folder: Path, recipe: Recipe) -> None:
    """A checkpoint with the recipe, but for its paths, as provenance; where its library can, as that writes models."""
    if operations.dense_copies is None:
        provenance = {"recipe": recipe.model_dump(exclude={*PATHS, "teacher"})}
        save(model, folder, dtype=recipe.dtype, provenance=provenance)
    else:
        with replacing(folder) as partial:
            operations.dense_copies.write(model, partial, recipe.dtype == "float16")


def _measured(folder: Path, dataset: Dataset) -> dict[str, Any]:
    return evaluate(load(folder), dataset, stored_bytes=inspect(folder).stored_bytes).to_json()
