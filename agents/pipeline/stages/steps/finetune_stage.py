"""The stage that trains a factorized model on, with the original as its teacher."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from agents.pipeline.materials import Materials
from agents.pipeline.progress.parts import in_parts
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext, Teller
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.steps.factorize_stage import FACTORIZE, MODEL
from agents.pipeline.teaching import mean_loss
from agents.pipeline.vocabulary.trim_stage import base_of
from agents.search.interruptible import Interruptible
from shrinkml.devices import multiplies_bfloat16
from shrinkml.events import ShouldStop
from shrinkml.job import FinetuneSpec, JobSpec
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import SoftTargets
from shrinkml.training.guard import Guard, Setback
from shrinkml.training.learning_rate import learning_rate_for
from shrinkml.training.rate_trial import N_UTTERANCES, SHARES, RateTrial, best_rate, try_rates
from shrinkml.training.train import Epoch, train

N_PARTS = 10  # of a fine-tuning, that are told of


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The training of a model; the trained one lies in the stage's folder.

    Attributes:
        epochs: of it.
        learning_rate: at its peak, as it began.
        setbacks: times that it went back to better weights and halved the rate.
    """

    epochs: int
    learning_rate: float
    setbacks: int = 0


@dataclass(frozen=True, slots=True)
class Listeners:
    """Functions that are called while a model is trained.

    Attributes:
        on_epoch: with every epoch.
        on_setback: with every setback.
        on_rates: with the rates that were tried, where the job names none.
        on_passed: with the utterances that have passed through a model by now, and of how many: of the original, which
            teaches, of trials of rates, and of the training itself.
    """

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_setback: Callable[[Setback], None] = lambda setback: None
    on_rates: Callable[[Sequence[RateTrial]], None] = lambda trials: None
    on_passed: Callable[[int, int], None] = lambda n_done, n_total: None


@dataclass(frozen=True, slots=True)
class Passes:
    """The utterances that pass through a model in a fine-tuning, piece by piece.

    Attributes:
        taught: by the teacher.
        tried: in each trial of a rate; 0 where none is tried.
        learned: in the training itself.
    """

    taught: int
    tried: int
    learned: int

    @classmethod
    def of(cls, model: AsrModel, settings: FinetuneSpec, n: int, epochs: int) -> "Passes":
        """Those of a fine-tuning of `model` on `n` utterances."""
        tried = min(n, N_UTTERANCES) if _tries_rates(model, settings) else 0
        return cls(n if settings.distill else 0, tried, epochs * n)

    @property
    def total(self) -> int:
        """All of them."""
        return self.taught + len(SHARES) * self.tried + self.learned


def finetune_(
    model: AsrModel,
    speech: Dataset,
    held_out: Dataset,
    settings: FinetuneSpec,
    *,
    epochs: int,
    lost: float,
    seed: int,
    warp: float,
    soft_targets: SoftTargets | None,
    listeners: Listeners,
    should_stop: ShouldStop,
    state_file: Path | None = None,
) -> Finetuned:
    """Train `model` in place; it never ends with a higher loss on `held_out` than it begins with.

    Args:
        model: factorized.
        speech: to learn from.
        held_out: a few utterances that are not learned from, with transcripts of the same kind.
        settings: of the job.
        epochs: passes over `speech`.
        lost: WER that factorizing cost: the more, the higher is an automatic learning rate, at most.
        seed: of everything random.
        warp: see `shrinkml.training.train.train`.
        soft_targets: the original's scores of `speech`, where it is the teacher.
        listeners: are told of it.
        should_stop: asked before every batch.
        state_file: a killed training goes on from its last epoch, whose state lies here.
    """
    setbacks: list[Setback] = []

    def on_setback(setback: Setback) -> None:
        setbacks.append(setback)
        listeners.on_setback(setback)

    passes = Passes.of(model, settings, len(speech), epochs)
    trials_begun = count()

    def passed(n: int, *, before: int) -> None:
        listeners.on_passed(before + n, passes.total)

    def check() -> float:
        return mean_loss(Interruptible(model, should_stop), held_out)

    learn = partial(
        train,
        seed=seed,
        warp=warp,
        mixed_precision=mixes_precision(model, settings),
        memory_bytes=int(settings.memory_gb * 2**30),
        should_stop=should_stop,
    )

    def attempt(model: AsrModel, indices: Sequence[int], /, *, learning_rate: float, batch_size: int) -> None:
        few = {name: [of[i] for i in indices] for name, of in soft_targets.items()} if soft_targets else None
        some = speech.subset(indices)
        told = partial(passed, before=passes.taught + next(trials_begun) * passes.tried)
        learn(
            model,
            some,
            epochs=1,
            learning_rate=learning_rate,
            batch_size=batch_size,
            soft_targets=few,
            on_step=told,
        )

    if settings.learning_rate != "auto":
        rate = settings.learning_rate
    elif _tries_rates(model, settings):
        trials = _remembered(
            None if state_file is None else state_file.with_name("rates.json"),
            lambda: try_rates(model, speech, attempt, check, highest=learning_rate_for(lost), seed=seed),
        )
        listeners.on_rates(trials)
        rate = best_rate(trials)
    else:
        rate = learning_rate_for(lost)
    learn(
        model,
        speech,
        epochs=epochs,
        learning_rate=rate,
        batch_size=settings.batch_size,
        soft_targets=soft_targets,
        guard=Guard(check, on_setback=on_setback),
        state_file=state_file,
        on_epoch=listeners.on_epoch,
        on_step=partial(passed, before=passes.total - passes.learned),
    )
    return Finetuned(epochs, rate, len(setbacks))


def _tries_rates(model: AsrModel, settings: FinetuneSpec) -> bool:
    """True where some rates are tried first: others trained the model, and nothing tells which rate it bears."""
    pretrained = model.family in FAMILIES and FAMILIES[model.family].library is not None
    return pretrained and settings.learning_rate == "auto"


def mixes_precision(model: AsrModel, settings: FinetuneSpec) -> bool:
    """True where `model` is to learn in bfloat16."""
    if settings.mixed_precision != "auto":
        return settings.mixed_precision
    can = model.family in FAMILIES and FAMILIES[model.family].float32_only is None
    return can and multiplies_bfloat16(next(model.module.parameters()).device)


def _remembered(file: Path | None, trials: Callable[[], list[RateTrial]]) -> list[RateTrial]:
    """The trials in `file`; those that `trials` makes, written there, where there are none."""
    if file is None:
        return trials()
    if not file.exists():
        made = file.with_name(f"{file.name}.partial")
        made.write_text(json.dumps([[trial.rate, trial.loss] for trial in trials()]))
        os.replace(made, file)
    return [RateTrial(*row) for row in json.loads(file.read_text())]


def finetune(
    materials: Materials,
    start: Path,
    target: Path,
    *,
    epochs: int,
    lost: float,
    settings: FinetuneSpec,
    listeners: Listeners,
    teacher: Path | None = None,
) -> Finetuned:
    """Train the checkpoint `start` and write it to `target`; see `finetune_`.

    The checkpoint `teacher` has the same tokens; it is the original, if absent. A killed training goes on from its last
    epoch: its state lies beside `target` until that is written.
    """
    model = materials.load(start)
    state_file = target.with_name("training.pt")
    passes = Passes.of(model, settings, len(materials.train), epochs)
    teaches = partial(materials.soft_targets_of, on_heard=lambda n: listeners.on_passed(n, passes.total))
    done = finetune_(
        model,
        materials.train,
        materials.held_out,
        settings,
        epochs=epochs,
        lost=lost,
        seed=materials.seed,
        warp=settings.warp,
        soft_targets=teaches(teacher or materials.original) if settings.distill else None,
        listeners=listeners,
        should_stop=materials.should_stop,
        state_file=state_file,
    )
    materials.save(model, target)
    state_file.unlink()
    return done


def _run(context: StageContext) -> Finetuned:
    spec = context.tools.spec
    return finetune(
        context.tools.materials,
        context.folder_of(FACTORIZE) / MODEL,
        context.folder / MODEL,
        epochs=spec.epochs_at(context.step.ratio),
        lost=context.record(FACTORIZE).dev.wer - context.record(BASELINE).dev.wer,
        settings=spec.finetune,
        teacher=base_of(context.tools, context.state),
        listeners=told_by(context.teller),
    )


def told_by(teller: Teller) -> Listeners:
    """Listeners that announce what they hear."""
    part = [0, 1]  # of the stage's work, so many of so many utterances

    def tell_passed(reached: int, n_done: int, n_total: int) -> None:
        if reached:  # that it has begun is told already
            message = f"{n_done:,} of {n_total:,} utterances have passed through the teacher and the model that learns"
            facts = {"n": n_done, "of": n_total}
            teller.tell("passed", f"passed/{reached}", message, facts, n_done=n_done, n_total=n_total)

    on_part = in_parts(N_PARTS, tell_passed)

    def on_passed(n_done: int, n_total: int) -> None:
        part[:] = n_done, n_total
        on_part(n_done, n_total)

    def on_epoch(epoch: Epoch) -> None:
        message = f"epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}"
        facts = {"epoch": epoch.number, "of": epoch.of, "loss": epoch.loss}
        teller.tell("epoch", f"epoch/{epoch.number}", message, facts, n_done=part[0], n_total=part[1])

    def on_setback(setback: Setback) -> None:
        worse = (
            f"the model got worse ({setback.loss:.3f} instead of {setback.best:.3f} nats per token on held-out speech)"
        )
        then = f"peak rate now {setback.rate:.1e}" if setback.rate else "training ends"
        message = f"after step {setback.step} {worse}: back to the best weights, {then}"
        facts = {"step": setback.step, "loss": setback.loss, "best": setback.best, "rate": setback.rate}
        teller.tell("setback", f"setback/{setback.number}", message, facts, n_done=part[0], n_total=part[1])

    def on_rates(trials: Sequence[RateTrial]) -> None:
        losses = ", ".join(f"{trial.rate:.1e}: {trial.loss:.3f}" for trial in trials)
        message = (
            f"learning rate {best_rate(trials):.1e}; nats per token on held-out speech after a few steps at {losses}"
        )
        facts = {"rates": [trial.rate for trial in trials], "losses": [trial.loss for trial in trials]}
        teller.tell("rates", "rates", message, facts, n_done=part[0], n_total=part[1])

    return Listeners(on_epoch, on_setback, on_rates, on_passed)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    trials = len(SHARES) * N_UTTERANCES if spec.finetune.learning_rate == "auto" else 0
    trained = sizes.train * spec.epochs_at(ratio) + trials
    return Work(trained=trained, forced=sizes.train if spec.finetune.distill else 0)


def _trains(spec: JobSpec, ratio: float) -> bool:
    return spec.epochs_at(ratio) > 0


FINETUNE = Stage("finetune", Finetuned, _run, _work, per_step=True, present=_trains)
