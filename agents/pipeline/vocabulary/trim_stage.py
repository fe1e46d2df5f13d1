"""The stage that trims the vocabulary of the original, before anything is factorized."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.pipeline.materials import Materials
from agents.pipeline.measuring import measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import RunState, Stage, StageContext, Tools
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.vocabulary.vocabulary_sizes import LADDER, sizes_to_try, texts_of
from agents.search.interruptible import Interruptible
from agents.search.model_evaluator import BATCH_SIZE
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import Evaluation, word_error_rate
from shrinkml.models.family import TokenRanking
from shrinkml.models.trimmed import rank_vocabulary, trim_vocabulary, vocabulary_size

MODEL = "model"  # the checkpoint in the stage's folder
TRIALS = "trials.json"  # in the stage's folder: the sizes that were tried, for a resumed run
SLACK = 0.005  # WER that trimming may cost beyond what the goal allows: fine-tuning wins it back, the gate asks again


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """A vocabulary that was tried.

    Attributes:
        tokens: of it.
        parameters: of the original with those alone.
        wer: of the same, on the proxy set.
        allowed: True where that is little enough.
    """

    tokens: int
    parameters: int
    wer: float
    allowed: bool


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The vocabulary that the steps begin with; a model with it lies in the stage's folder, if it is a smaller one.

    Attributes:
        original: tokens of the original.
        kept: tokens that are left.
        trials: sizes that were tried, where the job leaves the choice.
        dev: the figures of the trimmed model on dev; None where every token stays.
    """

    original: int
    kept: int
    trials: Sequence[SizeTrial]
    dev: Evaluation | None


def base_of(tools: Tools, state: RunState) -> Path:
    """The checkpoint that the first step starts from, and that teaches: the original, or it with fewer tokens."""
    found = state.find(TRIM)
    if found is None or found.record.dev is None:
        return tools.materials.original
    return found.folder / MODEL


def trimmed_ratio(tools: Tools, state: RunState) -> float:
    """The times that the first step's model is cheaper than the original before any layer is cut, of what is counted.

    Tokens cost parameters: of the time and of the products that are counted, they take none.
    """
    found = state.find(TRIM)
    if tools.spec.goal.resource != "parameters" or found is None or found.record.dev is None:
        return 1.0
    return state.get(BASELINE).record.dev.parameters / found.record.dev.parameters


def smallest_that_hears(
    materials: Materials,
    sizes: Sequence[int],
    ranking: TokenRanking,
    *,
    allowed_wer: float,
    known: Sequence[SizeTrial],
    on_trial: Callable[[SizeTrial, int], None],
) -> list[SizeTrial]:
    """The trials of `sizes`, which descend, until one of them is not allowed.

    Args:
        materials: the original and the speech.
        sizes: numbers of tokens.
        ranking: of its tokens.
        allowed_wer: on the proxy set.
        known: trials of a killed run.
        on_trial: called with each trial and their number by now, known ones as well.
    """
    before, trials = {trial.tokens: trial for trial in known}, []
    for number, size in enumerate(sizes, 1):
        trials.append(before[size] if size in before else _tried(materials, size, ranking, allowed_wer))
        on_trial(trials[-1], number)
        if not trials[-1].allowed:
            break
    return trials


def _tried(materials: Materials, size: int, ranking: TokenRanking, allowed_wer: float) -> SizeTrial:
    small = trim_vocabulary(materials.model, ranking, size)
    cost = model_cost(small.module)
    heard = Interruptible(small, materials.should_stop)
    wer = word_error_rate(heard, materials.proxy, batch_size=BATCH_SIZE, normaliser=materials.normaliser)
    return SizeTrial(size, cost.parameters(current_plan(small.module)), wer, wer <= allowed_wer)


def _run(context: StageContext) -> Trimmed:
    tools, baseline = context.tools, context.record(BASELINE)
    materials, spec = tools.materials, tools.spec
    texts, original = texts_of(materials, spec), vocabulary_size(materials.model)
    sizes = sizes_to_try(materials, spec, texts)
    ranking = rank_vocabulary(materials.model, texts)
    trials: list[SizeTrial] = []
    kept = sizes[0]
    if spec.vocabulary == "auto":
        allowed_wer = baseline.proxy.wer + spec.goal.max_wer_increase + SLACK
        trials = smallest_that_hears(
            materials,
            sizes,
            ranking,
            allowed_wer=allowed_wer,
            known=_known(context.folder),
            on_trial=_teller(context, len(sizes)),
        )
        kept = min((trial.tokens for trial in trials if trial.allowed), default=original)
    if kept >= original:
        return Trimmed(original, original, trials, None)
    target = context.folder / MODEL
    materials.save(trim_vocabulary(materials.model, ranking, kept), target)
    return Trimmed(original, kept, trials, measure(materials, target, materials.dev, baseline.calls_per_s))


def _known(folder: Path) -> list[SizeTrial]:
    path = folder / TRIALS
    return [SizeTrial(**trial) for trial in json.loads(path.read_text())] if path.exists() else []


def _teller(context: StageContext, n_sizes: int) -> Callable[[SizeTrial, int], None]:
    """A teller of every trial, which also keeps it for a resumed run."""
    told: list[SizeTrial] = []

    def on_trial(trial: SizeTrial, number: int) -> None:
        told.append(trial)
        (context.folder / TRIALS).write_text(json.dumps([asdict(one) for one in told]))
        message = f"{trial.tokens:,} tokens: {100 * trial.wer:.2f} % WER"
        context.teller.tell("trimmed", f"tokens/{trial.tokens}", message, asdict(trial), n_done=number, n_total=n_sizes)

    return on_trial


def _work(spec: JobSpec, _: float, sizes: Sizes) -> Work:
    n_tried = len(LADDER) if spec.vocabulary == "auto" else 0
    return Work(transcribed=n_tried * sizes.proxy + sizes.dev, seconds=2.0)


def _is_asked_for(spec: JobSpec, _: float) -> bool:
    return spec.trims


TRIM = Stage("trim", Trimmed, _run, _work, present=_is_asked_for)
