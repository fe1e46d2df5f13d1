"""The stage that trains a factorized model on, with the original as its teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.materials import Materials
from agents.pipeline.stage import Stage, StageContext, Teller
from agents.pipeline.stages.baseline_stage import BASELINE
from agents.pipeline.stages.factorize_stage import FACTORIZE, MODEL
from shrinkml.events import ShouldStop
from shrinkml.job import FinetuneSpec, JobSpec
from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import SoftTargets
from shrinkml.training.learning_rate import learning_rate_for
from shrinkml.training.train import Epoch, train

SECONDS_PER_EPOCH = 20.0


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The training of a model; the trained one lies in the stage's folder.

    Attributes:
        epochs: of it.
        learning_rate: at its peak.
    """

    epochs: int
    learning_rate: float


def finetune_(
    model: AsrModel,
    speech: Dataset,
    settings: FinetuneSpec,
    *,
    epochs: int,
    lost: float,
    seed: int,
    warp: float,
    soft_targets: SoftTargets | None,
    on_epoch: Callable[[Epoch], None],
    should_stop: ShouldStop,
    state_file: Path | None = None,
) -> Finetuned:
    """Train `model` in place.

    Args:
        model: factorized.
        speech: to learn from.
        settings: of the job.
        epochs: passes over `speech`.
        lost: WER that factorizing cost: the more, the higher is an automatic learning rate.
        seed: of everything random.
        warp: see `shrinkml.training.train.train`.
        soft_targets: the original's scores of `speech`, where it is the teacher.
        on_epoch: called after every epoch.
        should_stop: asked before every batch.
        state_file: a killed training goes on from its last epoch, whose state lies here.
    """
    rate = learning_rate_for(lost) if settings.learning_rate == "auto" else settings.learning_rate
    train(
        model,
        speech,
        epochs=epochs,
        learning_rate=rate,
        batch_size=settings.batch_size,
        seed=seed,
        warp=warp,
        mixed_precision=settings.mixed_precision,
        soft_targets=soft_targets,
        state_file=state_file,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    return Finetuned(epochs, rate)


def finetune(
    materials: Materials,
    start: Path,
    target: Path,
    *,
    epochs: int,
    lost: float,
    settings: FinetuneSpec,
    on_epoch: Callable[[Epoch], None],
) -> Finetuned:
    """Train the checkpoint `start` and write it to `target`; see `finetune_`.

    A killed training goes on from its last epoch: its state lies beside `target` until that is written.
    """
    model = materials.load(start)
    state_file = target.with_name("training.pt")
    done = finetune_(
        model,
        materials.train,
        settings,
        epochs=epochs,
        lost=lost,
        seed=materials.seed,
        warp=settings.warp,
        soft_targets=materials.soft_targets if settings.distill else None,
        on_epoch=on_epoch,
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
        on_epoch=_epoch_teller(context.teller),
    )


def _epoch_teller(teller: Teller) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        message = f"epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}"
        facts = {"epoch": epoch.number, "of": epoch.of, "loss": epoch.loss}
        teller.tell("epoch", f"epoch/{epoch.number}", message, facts, n_done=epoch.number, n_total=epoch.of)

    return on_epoch


def _seconds(spec: JobSpec, ratio: float) -> float:
    return SECONDS_PER_EPOCH * spec.epochs_at(ratio)


def _trains(spec: JobSpec, ratio: float) -> bool:
    return spec.epochs_at(ratio) > 0


FINETUNE = Stage("finetune", Finetuned, _run, _seconds, per_step=True, present=_trains)
