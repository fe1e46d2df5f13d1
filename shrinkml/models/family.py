"""Families of recognisers: one record says all that is particular to a family, in two parts.

`Family` is known from files alone and loads no torch. Its `operations` are functions on models, imported when they are
first asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shrinkml.errors import ConfigError

if TYPE_CHECKING:  # they load torch
    from shrinkml.export.drawn import Drawn
    from shrinkml.export.stock import Layout
    from shrinkml.models.protocol import AsrModel, SpeechStream
    from shrinkml.storage.model_folder import ModelFolder


@dataclass(frozen=True, slots=True)
class FreshModel:
    """A recogniser to be drawn afresh.

    Attributes:
        kind: one of the family's `fresh_kinds`.
        shape: fields of its config to set.
        texts: transcripts, whose words or characters become its vocabulary.
        unit: "word" or "char", one of the family's `units`.
        seed: of its weights.
    """

    kind: str
    shape: Mapping[str, Any]
    texts: Sequence[str]
    unit: str
    seed: int


@dataclass(frozen=True, slots=True)
class Copied:
    """A checkpoint, of which a dense copy is made.

    Attributes:
        digest: of the checkpoint.
        parameters: that it stores.
        dense_parameters: of the copy.
        dtype: of the weights of both, "float16" or "float32".
    """

    digest: str
    parameters: int
    dense_parameters: int
    dtype: str


@dataclass(frozen=True, slots=True)
class DenseCopies:
    """Writing models as the library of their origin writes them: every product of factors multiplied out.

    Attributes:
        write: model, empty folder, True for half precision -> writes the copy.
        card: model and checkpoint -> the text of the copy's README.md.
    """

    write: "Callable[[Any, Path, bool], None]"
    card: Callable[[Any, Copied], str]


@dataclass(frozen=True, slots=True)
class TokenRanking:
    """The order in which the tokens of a vocabulary are kept.

    Attributes:
        needed: ids of those that always stay.
        others: ids of the rest, the likeliest first.
    """

    needed: frozenset[int]
    others: Sequence[int]


@dataclass(frozen=True, slots=True)
class Trimming:
    """Making vocabularies smaller.

    Attributes:
        size: model -> its tokens.
        least: model and texts -> the fewest tokens that can be kept so that their words are whole tokens still.
        rank: model and texts -> the order in which tokens are kept for them; takes seconds.
        trim: model, ranking, number of tokens -> a copy of the model with so many.
    """

    size: Callable[[Any], int]
    least: "Callable[[Any, Sequence[str]], int]"
    rank: "Callable[[Any, Sequence[str]], TokenRanking]"
    trim: "Callable[[Any, TokenRanking, int], AsrModel]"


def as_it_is(model: "AsrModel", seed: int) -> "AsrModel":
    """The model itself: nothing but it is needed to train it."""
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Functions on the models of a family.

    Attributes:
        describe: model -> the entries of config.json that the family's `keys` name.
        write: writes the model's files but config and weights to a folder.
        build: config.json and folder -> the dense model that `describe` and `write` described, its weights not filled
            in.
        fresh: an untrained model.
        learner: model, seed -> the recogniser that is trained to train it from nothing.
        draw: model -> its ONNX graphs and how they are driven.
        open_stock: folder that the library of its origin wrote -> the dense model; None where there is no library.
        dense_copies: None where there is no library that would open them.
        trimming: of their vocabularies; None where that is not possible.
        stream: model -> an utterance that it hears piece by piece; None where it must hear all before it writes.
        first_pass: model -> the recogniser that writes such an utterance until its end; None where there is none.
        layouts: names of layouts of other programs -> imports and returns how a model is written in it.
    """

    describe: Callable[[Any], dict[str, Any]]
    write: Callable[[Any, Path], None]
    build: "Callable[[Mapping[str, Any], Path], AsrModel]"
    fresh: "Callable[[FreshModel], AsrModel]"
    draw: "Callable[[Any], Drawn]"
    learner: "Callable[[Any, int], AsrModel]" = as_it_is
    open_stock: "Callable[[ModelFolder], AsrModel] | None" = None
    dense_copies: DenseCopies | None = None
    trimming: Trimming | None = None
    stream: "Callable[[Any], SpeechStream] | None" = None
    first_pass: "Callable[[Any], AsrModel] | None" = None
    layouts: "Mapping[str, Callable[[], Layout]]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of recognisers.

    Attributes:
        name: of the family; `AsrModel.family` says the same.
        stored_as: `family` in config.json of its checkpoints, and in all that is told to users. Families of one
            library share it.
        recognises: True for the config.json of a model of this family.
        keys: entries of config.json that a checkpoint needs beside those of every family.
        operations: imports and returns the functions on its models.
        files: names of the files that a checkpoint is made of beside its weights; None for all descriptions in the
            folder.
        fresh_kinds: names in training recipes of what is drawn afresh.
        units: what a token of a fresh model may be.
        library: the package that opens its folders and dense copies; None where only ShrinkML does.
        exported: the models of the family that can be exported, in brackets, for cards; empty for all.
        float32_only: why its models do not learn in bfloat16; None where they do.
        multilingual: the models of the family that can be told a language, in words; empty for none.
        language_settings: config.json of a model and a language -> the settings of generation that tell it; None for a
            model that cannot be told one.
        trimmed_to: folder of a checkpoint -> the tokens that it writes; None where its vocabulary was never trimmed.
    """

    name: str
    stored_as: str
    recognises: Callable[[Mapping[str, Any]], bool]
    keys: tuple[str, ...]
    operations: Callable[[], Operations]
    files: tuple[str, ...] | None = None
    fresh_kinds: tuple[str, ...] = ()
    units: tuple[str, ...] = ("word",)
    library: str | None = None
    exported: str = ""
    float32_only: str | None = None
    multilingual: str = ""
    language_settings: Callable[[Mapping[str, Any], str], dict[str, Any] | None] = lambda config, language: None
    trimmed_to: Callable[[Path], int | None] = lambda folder: None

    def check_mixed_precision(self, field: str) -> None:
        """Raise where models of this family cannot learn in bfloat16, as `field` asks.

        Raises:
            ConfigError: they cannot.
        """
        if self.float32_only is not None:
            raise ConfigError(f"{field} is true; allowed for {self.float32_only}")
