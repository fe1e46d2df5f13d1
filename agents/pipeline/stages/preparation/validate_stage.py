"""The pre-flight stage: that everything asked for exists, and what becomes of every parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from agents.pipeline.exports.export_table import EXPORTS
from agents.pipeline.materials import Materials
from agents.pipeline.price_lists import COUNTED, parameters_of, price_list
from agents.pipeline.progress.stage_work import Sizes
from agents.pipeline.stage import Stage, StageContext, takes
from agents.pipeline.vocabulary.vocabulary_sizes import sizes_to_try, texts_of
from agents.search.make_problem import cheapest_choices, cheapest_plan, check_reachable
from agents.strategies.strategies import STRATEGIES, asked_policy
from envs.levers import UNITS
from envs.rewards import REWARDS
from shrinkml.activations.full_quantization import check_quantizable
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.compression.inventory import ParameterNote, list_parameters
from shrinkml.compression.sites import Branches, Pairs, WiredPairs, current_plan, model_cost
from shrinkml.errors import PlanError
from shrinkml.job import JobSpec
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel
from shrinkml.models.trimmed import rank_vocabulary, trim_vocabulary, vocabulary_size
from shrinkml.plan.gains import DROP
from shrinkml.plan.model_cost import ModelCost
from shrinkml.speech.manifest import check_fit, check_splits, check_words
from shrinkml.speech.normalisers import normaliser_called
from shrinkml.speech.unknown_tokens import check_known, unknown_share
from shrinkml.tables import look_up


@dataclass(frozen=True, slots=True)
class VocabularyNote:
    """The vocabulary that the job trims the original to.

    Attributes:
        original: tokens of the original.
        kept: tokens that stay; the fewest that are tried, where the job leaves the choice.
        parameters: of the original with those alone.
    """

    original: int
    kept: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Preflight:
    """The facts that are known before any work.

    Attributes:
        parameters: of the original.
        smallest_parameters: with the cheapest choice for every layer, in what the goal counts.
        factorized: layers that will be.
        left_alone: everything else -> why it will not be.
        tied: other names of tensors that are listed already -> the same.
        utterances: of each split.
        vocabulary: that the original is trimmed to; None where all tokens stay.
        unknown_tokens: split -> share of its reference's tokens that the model does not know; of train and dev.
        untranscribed: splits without transcripts, for which the original's own stand.
        units: layers whose units may be cut, where the job asks for that -> the layers that multiply them.
        whole: recurrent layers that keep all of their units, where the job asks to cut some -> the reason.
        exports: that the job asks for -> what they are, and what becomes of low-rank layers there.
        droppable: modules that may be left out, where the job asks for that -> the layers in them.
        undroppable: the other layers -> why they are not left out.
    """

    parameters: int
    smallest_parameters: int
    factorized: Sequence[str]
    left_alone: Mapping[str, str]
    tied: Mapping[str, str]
    utterances: Mapping[str, int]
    vocabulary: VocabularyNote | None = None
    unknown_tokens: Mapping[str, float] = field(default_factory=dict)  # older runs did not count them
    untranscribed: Sequence[str] = ()
    exports: Mapping[str, str] = field(default_factory=dict)  # older runs did not tell
    units: Mapping[str, str] = field(default_factory=dict)  # older runs cut none
    whole: Mapping[str, str] = field(default_factory=dict)
    droppable: Mapping[str, Sequence[str]] = field(default_factory=dict)  # older runs dropped none
    undroppable: Mapping[str, str] = field(default_factory=dict)


def validate(materials: Materials, spec: JobSpec) -> Preflight:
    """The pre-flight report of a job.

    Raises:
        UnknownNameError: a strategy, reward, factorizer, normaliser or export that does not exist.
        ManifestError: the data have problems, all are listed; or utterances are longer than the model can hear or
            write, or it does not know the tokens of what it shall learn from, or
            references hold no words for the job's normaliser.
        CheckpointError: the model cannot be loaded.
        ConfigError: there is no GPU where the job asks for one, it asks a LAS to learn in bfloat16, its policy is none,
            the model's generation looks for the language of each utterance, or its vocabulary cannot be trimmed as the
            job asks.
        ExportError: the model cannot be exported as the job asks.
        MissingPackageError: what the job asks for needs an extra that is not installed.
        PlanError: activations are to be rounded that cannot be, nothing can be factorized, or has units to cut or can
            be dropped where nothing else is asked for, a pattern of `layers` matches no layer, not even the smallest
            ranks reach the goal, or the job is strict and some matrices cannot be factorized.
    """
    _check_names(spec)
    normaliser = normaliser_called(spec.normaliser)
    splits = check_splits(materials.manifests, needs_text=False)
    check_words(chain(splits["dev"], splits["test"]), normaliser)
    model = materials.model
    check_fit(chain.from_iterable(splits.values()), longest_s=model.longest_s, misfit=model.misfit)
    learnt = "train" if "train" in splits else "dev"
    check_known(learnt, splits[learnt], model.spelling)
    for name in spec.export:
        EXPORTS[name].check(materials)
    base = _trimmed(materials, spec) if spec.trims else model
    left = materials.left_by(spec.layers)
    if spec.activations is not None:
        check_quantizable(base.module, left)
    pairs = materials.unit_pairs(base, spec.pulled_levers, left)
    branches = materials.branches(base, spec.pulled_levers, left)
    _refuse_idle(spec.pulled_levers, pairs, branches)
    cost, ranks = model_cost(base.module, pairs=pairs, branches=branches), current_plan(base.module)
    notes = list_parameters(base.module)
    if spec.strict:
        _refuse_unknown(notes)
    if spec.finetune.mixed_precision is True:
        FAMILIES[model.family].check_mixed_precision("finetune.mixed_precision")
    in_bytes = spec.goal.resource == "bytes"
    find_prices = partial(price_list, materials, "bytes") if in_bytes else partial(parameters_of, materials, base)
    prices = find_prices(left=left, levers=spec.pulled_levers)
    choices, wiring = cheapest_choices(base.module, prices, spec.pulled_levers, pairs, left=left, branches=branches)
    if spec.goal.resource in COUNTED:  # other prices are a stage of their own
        check_reachable(prices, choices, ratio=spec.goal.compression_ratio, n_left=len(left), wiring=wiring)
    return Preflight(
        parameters=price_list(materials, "parameters").original,
        smallest_parameters=cost.parameters(cheapest_plan(choices, wiring)),
        factorized=[layer.name for layer in cost.layers if len(choices[layer.name]) > 1],
        left_alone={
            **{it.name: "no rank would make it smaller" for it in cost.layers if len(choices[it.name]) == 1},
            **left,
            **{note.name: note.why for note in notes if note.verdict == "left"},
        },
        tied={note.name: note.why for note in notes if note.verdict == "tied"},
        utterances={split: len(utterances) for split, utterances in splits.items()},
        untranscribed=[split for split, utterances in splits.items() if not utterances[0].text],
        units=dict(pairs),
        whole=dict(pairs.why_not) if isinstance(pairs, WiredPairs) else {},
        droppable={branch.name: branch.layers for branch in cost.branches},
        undroppable=_outside(cost) if DROP in spec.pulled_levers else {},
        exports={name: EXPORTS[name].words for name in spec.export},
        vocabulary=(
            VocabularyNote(vocabulary_size(model), vocabulary_size(base), cost.parameters(ranks))
            if spec.trims
            else None
        ),
        unknown_tokens={
            split: unknown_share((utterance.text for utterance in splits[split]), model.spelling)
            for split in ("train", "dev")
            if split in splits
        },
    )


def _trimmed(materials: Materials, spec: JobSpec) -> AsrModel:
    """The original with the fewest tokens that the job may leave it.

    Raises:
        ConfigError: its vocabulary cannot be trimmed, or not so far; or there are no such texts.
    """
    texts = texts_of(materials, spec)
    least = sizes_to_try(materials, spec, texts)[-1]
    return trim_vocabulary(materials.model, rank_vocabulary(materials.model, texts), least)


def _check_names(spec: JobSpec) -> None:
    for name in (spec.search.strategy, *spec.search.baselines):
        look_up(STRATEGIES, name, kind="strategy")
    look_up(REWARDS, spec.search.reward, kind="reward")
    look_up(FACTORIZERS, spec.factorizer, kind="factorizer")
    for name in spec.export:
        look_up(EXPORTS, name, kind="export")
    asked_policy(spec.search)


def _refuse_idle(levers: Sequence[str], pairs: Pairs, branches: Branches) -> None:
    """Refuse a lever that the model gives nothing to pull, where it is the only one.

    Raises:
        PlanError: it is.
    """
    if not pairs and (*levers,) == (UNITS,):
        raise PlanError(
            "the job cuts units alone, and neither two linear layers nor a recurrent one of the model were found of "
            "which some could be cut; allowed beside units, or instead: other levers"
        )
    if not branches and (*levers,) == (DROP,):
        raise PlanError(
            "the job drops modules alone, and the model has none whose output is added to what it was computed from; "
            "allowed beside drop, or instead: other levers"
        )


def _outside(cost: ModelCost) -> dict[str, str]:
    """The layers in no branch that may be dropped -> why not."""
    why = "it lies in no residual branch of its own: without it, nothing would go on to what comes behind"
    return {layer.name: why for layer in cost.layers if layer.name not in cost.parents}


def _refuse_unknown(notes: Sequence[ParameterNote]) -> None:
    unknown = [f"{note.name} {list(note.shape)}: {note.why}" for note in notes if note.is_unknown]
    if unknown:
        raise PlanError(
            "the job is strict, and these weights cannot be factorized; without `strict` they stay as they are:\n  "
            + "\n  ".join(unknown)
        )


def _run(context: StageContext) -> Preflight:
    return validate(context.tools.materials, context.tools.spec)


def _sizes(found: Preflight, spec: JobSpec) -> Sizes:
    train, dev = found.utterances.get("train", 0), found.utterances["dev"]
    return Sizes(
        train=min(train, spec.data.train_utterances or train),
        dev=dev,
        test=found.utterances["test"],
        proxy=min(spec.data.proxy_utterances, dev),
        layers=len(found.factorized),
    )


VALIDATE = Stage("validate", Preflight, _run, takes(5.0), sizes=_sizes)
