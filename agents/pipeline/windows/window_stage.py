"""The stage that shortens the window of the final model to the words, where dev shows that this is harmless.

Only a model that hears a window of fixed length has it, a Whisper. Its fine-tuning hears such windows; without any, it
may bear those that end late. The rule is our own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.schedule import best_of
from agents.pipeline.stage import Stage, StageContext
from agents.search.interruptible import Interruptible
from agents.search.model_evaluator import BATCH_SIZE
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.protocol import AsrModel, WindowedModel

MODEL = "model"  # the checkpoint in the stage's folder
TAILS_S = (1.0, 3.0, 10.0)  # of silence behind the words, tried one after another
MOST_LOSS = 0.001  # of WER on dev: as much as other kernels change


@dataclass(frozen=True, slots=True)
class TailTrial:
    """A tail that was tried.

    Attributes:
        tail_s: seconds of silence behind each utterance, at least.
        wer: of the final model on dev, in windows that end there.
    """

    tail_s: float
    wer: float


@dataclass(frozen=True, slots=True)
class Windowed:
    """The window of the final model; a checkpoint that says so lies in the stage's folder, if it was shortened.

    Attributes:
        whole_s: seconds of the window; None where the model hears none.
        tail_s: of the shorter windows that it hears; None for the whole.
        whole_wer: of the model on dev, in whole windows.
        trials: of tails, the last one allowed if any was.
    """

    whole_s: float | None = None
    tail_s: float | None = None
    whole_wer: float | None = None
    trials: Sequence[TailTrial] = ()


def shortest_tail_(
    model: AsrModel, materials: Materials, *, whole_wer: float, on_trial: Callable[[TailTrial, int], None]
) -> list[TailTrial]:
    """Have `model`, which is windowed, hear the shortest of the tails that costs next to nothing; return all trials.

    Where none does, it hears whole windows as before.

    Args:
        model: the final one.
        materials: its speech.
        whole_wer: of the model on dev in whole windows.
        on_trial: called with each trial and its number.
    """
    assert isinstance(model, WindowedModel)
    asking, trials = Interruptible(model, materials.should_stop), list[TailTrial]()
    for tail_s in (tail_s for tail_s in TAILS_S if tail_s < (model.longest_s or math.inf)):
        model.window_tail_s = tail_s
        wer = word_error_rate(asking, materials.dev, batch_size=BATCH_SIZE, normaliser=materials.normaliser)
        trials.append(TailTrial(tail_s, wer))
        on_trial(trials[-1], len(trials))
        if is_harmless(wer, whole_wer):
            return trials
    model.window_tail_s = None
    return trials


def is_harmless(wer: float, whole_wer: float) -> bool:
    """True where windows with the first WER on dev may stand for whole ones with the second, on the same speech."""
    return wer <= whole_wer + MOST_LOSS


def _run(context: StageContext) -> Windowed:
    materials, best = context.tools.materials, best_of([outcome.step for outcome in context.outcomes])
    model = materials.load(context.tools.folder.checkpoints / best.checkpoint)
    if not isinstance(model, WindowedModel) or not model.windowed:
        return Windowed()
    if model.window_tail_s is not None:  # as its original; everything was measured so
        return Windowed(model.longest_s, model.window_tail_s)

    def on_trial(trial: TailTrial, number: int) -> None:
        message = (
            f"WER {trial.wer:.2%} on dev with {trial.tail_s:g} s of silence behind the words, {best.wer:.2%} whole"
        )
        facts = {"tail_s": trial.tail_s, "wer": trial.wer, "whole_wer": best.wer}
        context.teller.tell("window", f"window/{number}", message, facts, n_done=number, n_total=len(TAILS_S))

    trials = shortest_tail_(model, materials, whole_wer=best.wer, on_trial=on_trial)
    if model.window_tail_s is not None:
        materials.save(model, context.folder / MODEL)
    return Windowed(model.longest_s, model.window_tail_s, best.wer, trials)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.dev)


def _done(record: Windowed, spec: JobSpec, sizes: Sizes) -> Work:
    return Work(transcribed=len(record.trials) * sizes.dev)


WINDOWS = Stage("windows", Windowed, _run, _work, done=_done)
