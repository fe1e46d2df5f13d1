"""Compression of a module of the user's own, in this process: calibrate, search, factorize, fine-tune."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from agents.execution.executor import SearchTask
from agents.pipeline.folder.policies import Policies
from agents.pipeline.materials import N_HELD_OUT
from agents.pipeline.stages.steps.choose_stage import choose
from agents.pipeline.stages.steps.evaluate_stage import FACTORIZED, FINE_TUNED, keeps_tuned
from agents.pipeline.stages.steps.finetune_stage import Listeners, finetune_
from agents.pipeline.stages.steps.search_stage import search_tasks
from agents.search.decompose_layers import decomposed, residual_branches, silent_layers, unit_pairs
from agents.search.interruptible import Interruptible
from agents.search.look.look import look
from agents.search.make_problem import RANKS_ALONE, cheapest_choices, check_reachable, problems_of
from agents.search.model_evaluator import BATCH_SIZE, ModelEvaluator
from agents.search.opened_workspace import Workspace
from agents.search.racing import RacingJudge
from agents.search.search_result import OnTrial, SearchResult, Trial
from agents.search.search_task import search_in
from agents.strategies.strategies import asked_policy
from envs.levers import UNITS
from shrinkml.additions import copied
from shrinkml.compression.chosen_layers import asked_to_leave
from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import (
    NO_BRANCHES,
    NO_PAIRS,
    Branches,
    Pairs,
    current_plan,
    model_cost,
    present_cost,
)
from shrinkml.errors import ConfigError, StoppedError
from shrinkml.events import ShouldStop
from shrinkml.job import FinetuneSpec, LayersSpec, SearchSpec
from shrinkml.layers.attention import split_attention
from shrinkml.measure.evaluation import Evaluation, evaluate, word_error_rate
from shrinkml.models.own_model import Loss, OwnModel, Scores, Transcribe
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.gains import DROP, GAINS
from shrinkml.plan.prices import PriceList, parameter_prices
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import soft_targets
from shrinkml.training.guard import Setback
from shrinkml.training.train import Epoch
from shrinkml.weights.form import Form

Speech = tuple[Sequence[Tensor], Sequence[str]]  # features and what was said, utterance by utterance

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compressed:
    """A module, made smaller.

    Attributes:
        module: the smaller one; the given one is as it was. Torch's attention in it has projections of its own
            (`shrinkml.layers.attention`).
        plan: what became of its layers.
        before: the given module on test.
        after: the smaller one on test.
        kept: "fine-tuned", or "factorized" where there was no fine-tuning, or it left more errors than both the
            factorized and the given module make on dev.
        searches: every strategy's result; the best plan of all was taken.
    """

    module: nn.Module
    plan: CompressionPlan
    before: Evaluation
    after: Evaluation
    kept: str
    searches: tuple[SearchResult, ...]


def compress(
    module: nn.Module,
    *,
    loss: Loss,
    transcribe: Transcribe,
    scores: Scores | None = None,
    compression_ratio: float,
    dev: Speech,
    test: Speech,
    train: Speech | None = None,
    factorizer: str = "pca",
    levers: Collection[str] = RANKS_ALONE,
    search: SearchSpec | None = None,
    finetune: FinetuneSpec | None = None,
    layers: LayersSpec | None = None,
    seed: int = 0,
    should_stop: ShouldStop = lambda: False,
) -> Compressed:
    """A module `compression_ratio` times smaller than `module`, by the best plan that a search finds.

    One step of a job, by the functions of its stages. For several, compress what the last one returned.

    Args:
        module: what to compress; it is left as it is. Its padding counts as input unless it packs its sequences.
        loss: module, features and texts of a batch -> the training loss, a scalar.
        transcribe: module and features of a batch -> a transcript of each; called without gradients.
        scores: module, features and texts of a batch -> logits [batch, steps, vocabulary] and valid steps [batch]: what
            the result learns from `module` beside the loss, at the price of a second pass.
        compression_ratio: parameters of `module` over those of the result, at least.
        dev: what plans are judged on. Features are [frames, dims] tensors, 0 at their mean: fine-tuning masks with it.
        test: what the figures are measured on.
        train: what layers are calibrated and the result is fine-tuned on; without it, layers are calibrated on `dev`
            and nothing is fine-tuned.
        factorizer: name in FACTORIZERS.
        levers: what may become of a matrix; names that a job has where parameters count.
        search: how to search; as a job's.
        layers: which may be factorized, where not all shall be; as a job's.
        finetune: how to fine-tune; as a job's. There is no distillation without `scores`, and no warping.
        seed: of everything random.
        should_stop: asked often; nothing is kept of a stopped compression.

    Raises:
        PlanError: nothing can be factorized, a pattern of `layers` matches no layer, or the ratio is out of reach.
        ConfigError: a ratio that is not above 1, levers that save no parameters, a policy that is none, no speech, or
            features and texts that are not as many.
        OSError: the disk of temporary files (TMPDIR), where statistics of large layers lie, has no room.
        CalibrationError: `loss` did not run the layers of the module that it was given.
        UnknownNameError: no such strategy, reward or factorizer.
        StoppedError: `should_stop` said so.
    """
    search, finetune = search or SearchSpec(), finetune or FinetuneSpec()
    policies = _policies(search, seed)
    _check_levers(levers)
    if not compression_ratio > 1.0:
        raise ConfigError(f"compression_ratio is {compression_ratio}; allowed: above 1.0")
    judged, measured = _dataset("dev", dev), _dataset("test", test)
    learnt = None if train is None else _dataset("train", train)
    own = OwnModel(split_attention(module), loss, transcribe, scores)
    left = _left_by(layers, own.module)
    heard, calibration = Interruptible(own, should_stop), learnt or judged
    pairs = unit_pairs(heard, calibration, left=left) if UNITS in levers else NO_PAIRS
    branches = residual_branches(heard, calibration, left=left) if DROP in levers else NO_BRANCHES
    prices = _prices(own.module, compression_ratio, levers, left, pairs, branches)
    decompositions = dict(decomposed(heard, calibration, factorizer, left=left, pairs=pairs))
    kept_whole = {*left, *silent_layers(own.module, decompositions, left=left)}

    def cut(plan: CompressionPlan, made: dict[str, Form] | None = None) -> Interruptible:
        return Interruptible(own.with_module(factorize(own.module, plan, decompositions, made=made)), should_stop)

    wer = word_error_rate(own, judged, batch_size=BATCH_SIZE)
    problem, narrower = problems_of(
        own.module,
        decompositions,
        prices=prices,
        ratio=compression_ratio,
        baseline_wer=wer,
        levers=levers,
        left=kept_whole,
        pairs=pairs,
        branches=branches,
    )
    shared = partial(cut, made={})  # a look's plans differ in little
    problem = look(problem, heard, shared, calibration, left=kept_whole, narrower=narrower)
    evaluator = ModelEvaluator(cut, judged)
    tasks = search_tasks(search, seed, "in memory", policies)
    workspace = Workspace(problem, RacingJudge(evaluator, evaluator.words))
    results = [search_in(workspace, task, on_trial=_logged(task), should_stop=should_stop) for task in tasks]
    del evaluator, workspace  # with the model judged last
    if should_stop():
        raise StoppedError("stopped while searching")
    chosen = choose(results, problem, _wers_on_dev(results).__getitem__)
    small, kept = own.with_module(factorize(own.module, chosen.plan, decompositions)), FACTORIZED
    if learnt is not None and finetune.epochs:
        before_wer = chosen.finalists[0].dev_wer
        tuned = own.with_module(copied(small.module))
        distils = scores is not None and finetune.distill
        finetune_(
            tuned,
            learnt,
            judged.subset(range(min(N_HELD_OUT, len(judged)))),
            finetune,
            epochs=finetune.epochs,
            lost=before_wer - wer,
            seed=seed,
            warp=0.0,  # not every module hears a spectrum, whose frequency axis could be stretched
            soft_targets=soft_targets(own, learnt, should_stop=should_stop) if distils else None,
            listeners=Listeners(on_epoch=_log_epoch, on_setback=_log_setback),
            should_stop=should_stop,
        )
        if keeps_tuned(before_wer, word_error_rate(tuned, judged), allowed=wer):
            small, kept = tuned, FINE_TUNED
    before, after = (_evaluated(model, measured, seed) for model in (own, small))
    return Compressed(small.module, chosen.plan, before, after, kept, tuple(results))


def _dataset(name: str, speech: Speech) -> Dataset:
    features, texts = list(speech[0]), list(speech[1])
    if not texts or len(features) != len(texts):
        raise ConfigError(f"{name} has {len(features)} features and {len(texts)} texts; as many of each, one at least")
    return Dataset(features, texts, [0.0] * len(texts), [None] * len(texts))  # how long it lasts is of no matter here


def _left_by(layers: LayersSpec | None, module: nn.Module) -> Collection[str]:
    return () if layers is None else asked_to_leave(module, only=layers.only, excepted=layers.except_)


def _prices(
    module: nn.Module,
    compression_ratio: float,
    levers: Collection[str],
    left: Collection[str],
    pairs: Pairs,
    branches: Branches,
) -> PriceList:
    """The sizes of plans of `module`, some of which reach the ratio."""
    prices = parameter_prices(model_cost(module, pairs=pairs, branches=branches), current_plan(module))
    choices, wiring = cheapest_choices(module, prices, levers, pairs, left=left, branches=branches)
    check_reachable(prices, choices, ratio=compression_ratio, n_left=len(left), wiring=wiring)
    return prices


def _check_levers(levers: Collection[str]) -> None:
    known = GAINS["parameters"]
    if not levers or {*levers} - {*known}:
        raise ConfigError(f"levers {', '.join(levers) or 'none'}; allowed: one at least of {', '.join(known)}")


def _policies(search: SearchSpec, seed: int) -> Policies:
    """The policy that `search` names, for every seed of its strategy."""
    policy = asked_policy(search)
    if policy is None:
        return {}
    return {(name, number): policy for name, number in search.runs(seed) if name == search.strategy}


def _logged(task: SearchTask) -> OnTrial:
    def on_trial(trial: Trial, n_done: int) -> None:
        log.info("%s, seed %d, plan %d: %.2f %% WER", task.strategy, task.seed, n_done, 100 * trial.wer)

    return on_trial


def _wers_on_dev(results: Sequence[SearchResult]) -> dict[CompressionPlan, float]:
    """Plan -> WER on all of dev, which searches in memory judge on: finalists need not be judged again."""
    return {trial.plan: trial.wer for result in results for trial in result.trials if not trial.stopped}


def _log_epoch(epoch: Epoch) -> None:
    log.info("epoch %d of %d: loss %.3f", epoch.number, epoch.of, epoch.loss)


def _log_setback(setback: Setback) -> None:
    log.warning("training got worse after step %d: peak rate now %.1e", setback.step, setback.rate)


def _evaluated(model: OwnModel, dataset: Dataset, seed: int) -> Evaluation:
    stored_bytes = present_cost(model.module).bytes
    return evaluate(model, dataset, stored_bytes=stored_bytes, batch_size=BATCH_SIZE, seed=seed)
