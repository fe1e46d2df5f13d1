"""The description of a job: the same in YAML, over HTTP and in Python."""

import math
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from shrinkml.activations.activation_spec import ActivationBits, ScaleKind
from shrinkml.errors import ConfigError
from shrinkml.plan.gains import GAINS, LEVER_WORDS, UNASKED
from shrinkml.plan.prices import Resource
from shrinkml.speech.normalisers import DEFAULT as DEFAULT_NORMALISER
from shrinkml.storage.bundle import BUNDLED, HUB, UPLOAD, bundled_names
from shrinkml.yaml_file import read_yaml

MOST_NUMBER = 2**53
MAX_STEP = 2.6  # how much smaller one automatic step makes the model, at most; larger steps lose accuracy

DeviceName = Literal["auto", "cpu", "cuda"]
DtypeName = Literal["auto", "float16", "float32"]
Name = Annotated[str, Field(max_length=64)]  # of an entry of a table
FilePath = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=4096)]  # as Linux allows them


@cache
def _takes_numbers(part: "type[Part]", field: str) -> bool:
    """True where `field` of `part` may hold a number, or several."""
    return _holds_numbers(part.model_fields[field].annotation)


def _holds_numbers(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_holds_numbers, get_args(annotation)))


class Part(BaseModel):
    """A section of a job: unknown fields and texts that no file can hold are refused, nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if not _takes_numbers(cls, str(info.field_name)):
            return value
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool):
                raise ValueError(f"is {str(number).lower()}, which is no number")
            if isinstance(number, int) and abs(number) > MOST_NUMBER:
                raise ValueError(f"is a number beyond {MOST_NUMBER}, up to which all whole numbers are exact")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _texts_are_of_whole_characters(cls, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and printable(text) != text:
                raise ValueError("holds half of a character (a lone surrogate); allowed: text that UTF-8 can write")
        return value


class DataSpec(Part):
    """The transcribed speech, as manifests (JSON lines of audio_filepath, duration, text).

    Each is a path; on a server also upload:ID/NAME, the manifest NAME of the uploaded data set ID.
    """

    train: FilePath | None = Field(None, description="Manifest to fine-tune on; without it nothing is fine-tuned.")
    dev: FilePath = Field(description="Manifest that the search and the gates of steps measure on.")
    test: FilePath = Field(description="Manifest of the final figures; never seen by the search.")
    proxy_utterances: int = Field(
        200,
        ge=1,
        description="Utterances of dev that each plan of a search is judged on (all of dev if it is smaller).",
    )
    train_utterances: int | None = Field(
        None, ge=1, description="Use only the first utterances of train after a seeded shuffle; all of them if absent."
    )
    # Left out of JSON where it says nothing new, so that jobs without it are the same as before there was one.
    teach: Literal["auto", "own", "references"] = Field(
        "auto",
        exclude_if=lambda teach: teach == "auto",
        description="Transcripts that layers are calibrated and models trained on: references are those of the "
        "manifests; own are what the original writes itself, without those far from the reference. auto: own where "
        "the original writes in another form (capitals, punctuation). Errors are counted against references always.",
    )


class Goal(Part):
    """The compression that the user asks for, and the accuracy that it may cost."""

    compression_ratio: float = Field(
        gt=1.0,
        le=1000.0,
        description="Original over compressed parameters, unless `resource` says otherwise: 5.0 is five times smaller.",
    )
    # Left out of JSON where it says nothing new, so that jobs without it are the same as before there was one.
    resource: Resource = Field(
        "parameters",
        exclude_if=lambda resource: resource == "parameters",
        description="What the ratio counts: parameters, bytes (of the checkpoint, against those that the original "
        "stores), macs (multiply-accumulates "
        "of the factorizable layers per second of audio), or latency (time at batch 1 on one thread of this CPU).",
    )
    max_wer_increase: float = Field(
        0.003, ge=0.0, le=1.0, description="Absolute WER that may be lost, as a fraction: 0.003 is 0.3 points."
    )


class SearchSpec(Part):
    """The search for ranks."""

    strategy: Name = Field(
        "surrogate",
        description="Name of a search strategy: an agent, which learns from plans that were judged, or a baseline.",
    )
    evaluations: int = Field(100, ge=1, le=100_000, description="Plans that each strategy may judge per step and seed.")
    seeds: int = Field(1, ge=1, le=32, description="Independent runs of the strategy per step; the best plan wins.")
    reward: Name = Field(
        "budget_wall",
        description="Name of a reward, for agents that learn by judged plans alone.",
    )
    baselines: tuple[Name, ...] = Field(
        ("uniform", "greedy", "divergence", "knapsack", "random", "evolution"),
        description="Strategies run beside it at the same number of evaluations, in the last step's table.",
    )

    # Left out of JSON where there is none, so that jobs without it are the same as before there was one.
    policy: FilePath | None = Field(
        None,
        exclude_if=lambda policy: policy is None,
        description="The policy.json that a job with the same strategy left in its folder, for the first searches of "
        "this one to go on from. Only dyna leaves one.",
    )

    def runs(self, seed: int) -> list[tuple[str, int]]:
        """Name and seed of each search: the strategy with every seed from `seed` on, each baseline once."""
        others = [(name, seed) for name in self.baselines if name != self.strategy]
        return [(self.strategy, seed + i) for i in range(self.seeds)] + others


class FinetuneSpec(Part):
    """The training of a factorized model."""

    epochs: int = Field(3, ge=0, le=1000, description="Passes over the training set per step; 0 turns it off.")
    final_epochs: int | None = Field(
        None, ge=0, le=1000, description="The same in the step to the goal; as epochs if absent."
    )
    distill: bool = Field(True, description="Learn the original's posteriors beside the transcripts.")
    learning_rate: Literal["auto"] | Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        "auto",
        description="Peak of the schedule (AdamW). auto: the higher, the more WER factorizing lost; models of "
        "transformers try a few rates first. Where the model gets worse, it is halved.",
    )
    batch_size: int = Field(32, ge=1, le=4096, description="Utterances per step.")
    memory_gb: float = Field(
        1.0,
        gt=0.0,
        le=4096.0,
        exclude_if=lambda memory_gb: memory_gb == 1.0,  # as in Goal
        description="Memory (GiB) that the outputs of layers may take in a step: batches that need more are learned "
        "from in parts.",
    )
    warp: float = Field(
        0.2, ge=0.0, le=0.5, description="Stretch of the frequency axis, at most: voices that were never recorded."
    )
    mixed_precision: bool | Literal["auto"] = Field(
        False,
        exclude_if=lambda mixed: not mixed,  # as in Goal
        description="Multiply in bfloat16: a Whisper learns twice as fast where the processor can. Not for LSTMs. "
        "auto: where processor and model can.",
    )

    @field_validator("learning_rate", mode="wrap")
    @classmethod
    def _one_problem(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """One problem where neither alternative fits, not one for each."""
        try:
            return check(value)
        except ValidationError:
            raise ValueError("allowed: 'auto', or a number above 0 and at most 1") from None


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...],
    BeforeValidator(_as_list),
    # The same for what is read and what is written, or the description of the API would have two of each.
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class LayersSpec(Part):
    """The layers that may be factorized, by patterns over their names: as the pre-flight lists them, or a module's."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    only: Patterns = Field((), description='Globs ("encoder.*") of the layers that may be factorized; all, if absent.')
    except_: Patterns = Field(
        (), alias="except", description='Globs ("*.embed_tokens") of those that stay as they are all the same.'
    )


class JobSpec(Part):
    """One compression job.

    Relative paths mean relative to the file that the job was read from, or to the server's data folder.
    """

    name: str = Field("job", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names the run folder.")
    model: FilePath = Field(
        description=f"{', '.join(bundled_names())} (bundled), the folder of a checkpoint or transformers model, or, if "
        "the operator allows it, hf: and the id of a model on the Hugging Face hub (hf:openai/whisper-tiny). On a "
        "server also upload: and the id of an uploaded model (upload:1f2e3d4c5b6a7988)."
    )
    data: DataSpec
    goal: Goal
    search: SearchSpec = SearchSpec()
    steps: Literal["auto"] | tuple[Annotated[float, Field(gt=1.0)], ...] = Field(
        "auto",
        validation_alias=AliasChoices("steps", "stages"),  # the second is its older name
        description="Ratios on the way, ascending, of what the goal counts; the last is its own. auto: each 2.6x "
        "smaller at most.",
    )
    finetune: FinetuneSpec = FinetuneSpec()
    factorizer: Name = Field("pca", description="Name of a factorizer.")
    strict: bool = Field(
        False,
        description="Refuse a model with matrices that cannot be factorized, and name them, instead of leaving them.",
    )
    # Left out of JSON like the resource, as is what follows.
    layers: LayersSpec | None = Field(
        None,
        exclude_if=lambda layers: layers is None,
        description="Which layers may be factorized, where not all shall be.",
    )
    levers: tuple[Name, ...] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda levers: levers is None,
        description="What may become of a matrix or a module: "
        + ", ".join(f"{name} ({words})" for name, words in LEVER_WORDS.items())
        + ". If absent, ranks; where bytes count, all but units and drop.",
    )
    language: Name | None = Field(
        None,
        exclude_if=lambda language: language is None,
        description="What a Whisper of several languages is compressed for, as it names them (en, german); its own "
        "generation_config.json may tell it as well.",
    )
    normaliser: Name = Field(
        DEFAULT_NORMALISER,
        exclude_if=lambda normaliser: normaliser == DEFAULT_NORMALISER,
        description="Name of a text normaliser: what counts as the same words in every WER of the job.",
    )
    vocabulary: Literal["all", "auto"] | Annotated[int, Field(ge=1)] = Field(
        "all",
        exclude_if=lambda vocabulary: vocabulary == "all",
        description="Tokens that a Whisper keeps, those of the words of train and the likeliest: a number. "
        "auto: the fewest of a few sizes that lose at most half a point of WER beyond the goal. all: as it is.",
    )
    vocabulary_texts: FilePath | None = Field(
        None,
        exclude_if=lambda texts: texts is None,
        description="Text file whose words the trimmed vocabulary must have in whole tokens as well. Never test's.",
    )
    dtype: DtypeName = Field(
        "auto",
        exclude_if=lambda dtype: dtype == "auto",
        description="Of the weights in checkpoints and exports: float16 takes half the bytes. auto: as the original "
        "has them (bfloat16 as float32).",
    )
    export: tuple[Name, ...] = Field((), description="Other forms to write the final model in.")
    quantize: Literal["none", "int8"] = Field(
        "none", description="int8: the export for ONNX Runtime also in int8, and torch measured in it."
    )
    activations: ActivationBits | None = Field(
        None,
        exclude_if=lambda bits: bits is None,
        description="Bits of the final model's activations (8, 6 or 4), which are floats if absent: what every linear "
        "layer and convolution multiplies is rounded, in our Transformers each step of attention and normalisation "
        "too, and weights that no lever rounds have as many bits. Trained so where rounding alone loses.",
    )
    activation_scales: ScaleKind = Field(
        "float",
        exclude_if=lambda scales: scales == "float",
        description="Scales of rounded activations: any float, powers of two, or a multiplier of eight bits and a "
        "shift.",
    )
    executor: Literal["ray", "local"] = Field("ray", description="Where searches run: Ray workers, or this process.")
    device: DeviceName = Field(
        "auto", description="Where models compute (cuda is a GPU). auto: the GPU if torch sees one. Speed is the CPU's."
    )
    workers: int = Field(2, ge=1, le=64, description="Searches that run side by side (Ray), one CPU thread each.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything random in the job.")

    @field_validator("language", mode="before")
    @classmethod
    def _norwegian_is_a_language(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"YAML reads no, off, yes and on as {str(value).lower()}; put it in quotes, as in 'no'")
        return value

    @model_validator(mode="after")
    def _what_is_quantized_is_exported(self) -> "JobSpec":
        if self.quantize != "none" and "onnx" not in self.export:
            raise ValueError(
                f"quantize is {self.quantize}, but exports for ONNX Runtime are what is quantized: add export: [onnx]"
            )
        return self

    @model_validator(mode="after")
    def _what_is_rounded_goes_where_it_is_kept(self) -> "JobSpec":
        if self.activations is None:
            if self.activation_scales != "float":
                raise ValueError(
                    f"activation_scales is {self.activation_scales}, and no activations are rounded: add activations: 8"
                )
            return self
        if self.quantize != "none":
            raise ValueError(
                f"activations is {self.activations} and quantize {self.quantize}; allowed: one of them, as graphs of "
                "rounded activations multiply in integers already"
            )
        if strange := [name for name in self.export if name != "onnx"]:
            raise ValueError(
                f"activations is {self.activations}, which export: {', '.join(strange)} would not keep; allowed: onnx"
            )
        return self

    @field_validator("vocabulary", mode="wrap")
    @classmethod
    def _one_problem(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """As in FinetuneSpec."""
        try:
            return check(value)
        except ValidationError:
            raise ValueError("allowed: 'all', 'auto', or a number of tokens, 1 or more") from None

    @model_validator(mode="after")
    def _what_is_trimmed_is_counted(self) -> "JobSpec":
        if not self.trims and self.vocabulary_texts is not None:
            raise ValueError("vocabulary_texts is given, and vocabulary is all; allowed: vocabulary: auto, or a number")
        if self.trims and self.goal.resource != "parameters":
            raise ValueError(
                f"vocabulary is {self.vocabulary} and goal.resource {self.goal.resource}; allowed with a trimmed "
                "vocabulary: goal.resource: parameters"
            )
        return self

    @model_validator(mode="after")
    def _steps_lead_to_the_goal(self) -> "JobSpec":
        if self.steps != "auto":
            if not self.steps or list(self.steps) != sorted(set(self.steps)):
                raise ValueError(f"steps {list(self.steps)} must ascend, each above the one before")
            if self.steps[-1] != self.goal.compression_ratio:
                raise ValueError(
                    f"the last step ({self.steps[-1]}) must be goal.compression_ratio ({self.goal.compression_ratio})"
                )
        return self

    @model_validator(mode="after")
    def _levers_save_what_is_counted(self) -> "JobSpec":
        known = GAINS[self.goal.resource]
        if self.levers is not None and (strange := [name for name in self.levers if name not in known]):
            raise ValueError(
                f"levers: {', '.join(strange)} would save no {self.goal.resource}; allowed with goal.resource: "
                f"{self.goal.resource}: {', '.join(known)}"
            )
        return self

    @property
    def pulled_levers(self) -> tuple[str, ...]:
        """The levers that the search may pull."""
        return UNASKED[self.goal.resource] if self.levers is None else self.levers

    @property
    def trims(self) -> bool:
        """True where the vocabulary is to be trimmed."""
        return self.vocabulary != "all"

    def epochs_at(self, ratio: float) -> int:
        """Epochs of fine-tuning in the step to `ratio`."""
        if self.data.train is None:
            return 0
        is_last = ratio == self.goal.compression_ratio
        final = self.finetune.final_epochs
        return final if is_last and final is not None else self.finetune.epochs

    @property
    def step_ratios(self) -> tuple[float, ...]:
        """The compression ratio of every step, ascending."""
        if self.steps != "auto":
            return self.steps
        goal = self.goal.compression_ratio
        n_steps = max(1, math.ceil(math.log(goal) / math.log(MAX_STEP)))
        return (*(round(goal ** (i / n_steps), 3) for i in range(1, n_steps)), goal)


def printable(text: str) -> str:
    """`text` with lone surrogates, which nothing can print or send, written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def parse_job(value: Any, *, source: str = "job") -> JobSpec:
    """The job that the plain JSON or YAML `value` describes.

    Raises:
        ConfigError: naming every wrong field, its value and what is allowed.
    """
    try:
        return JobSpec.model_validate(value)
    except ValidationError as error:
        problems = [
            f"{printable('.'.join(map(str, e['loc']))) or 'job'}: {e['msg']} (got {e['input']!r:.80})"
            for e in error.errors()
        ]
        raise ConfigError(f"{source} is no valid job:\n  " + "\n  ".join(problems)) from error


def read_job(path: Path) -> JobSpec:
    """The job in the YAML file `path`, its relative paths made absolute.

    Raises:
        ConfigError: missing file, broken YAML or invalid job.
    """
    value = read_yaml(path, kind="job file", like="configs/demo.yaml")
    return resolved(parse_job(value, source=str(path)), path.parent)


def resolved(job: JobSpec, base: Path) -> JobSpec:
    """`job` with its relative paths taken from the folder `base`; models of the package or the hub and uploads stay."""

    def absolute(value: str | None, *names: str) -> str | None:
        if value is None or value.startswith(names):
            return value
        try:
            return os.path.realpath(base / value)
        except OSError:  # a link that may not be read
            return os.path.abspath(base / value)

    splits = {split: absolute(getattr(job.data, split), UPLOAD) for split in ("train", "dev", "test")}
    search = job.search.model_copy(update={"policy": absolute(job.search.policy)})
    model = absolute(job.model, BUNDLED, HUB, UPLOAD)
    texts = absolute(job.vocabulary_texts)
    data = job.data.model_copy(update=splits)
    return job.model_copy(update={"data": data, "model": model, "search": search, "vocabulary_texts": texts})
