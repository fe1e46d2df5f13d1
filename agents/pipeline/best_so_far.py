"""The checkpoint that a stopped job leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from agents.pipeline.folder.run_folder import FINAL, SO_FAR
from agents.pipeline.measuring import describe
from agents.pipeline.schedule import best_of, start_of
from agents.pipeline.stage import RunState, Tools
from agents.pipeline.stages.conclusion.verify_stage import VERIFY
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.pipeline.stages.steps.factorize_stage import FACTORIZE, MODEL, save_factorized
from agents.pipeline.stages.steps.search_stage import SEARCH, read_results
from agents.pipeline.step import Step
from agents.search.search_result import winner
from shrinkml.errors import StoppedError


@contextmanager
def best_kept_on_stop(tools: Tools, state: RunState) -> Iterator[None]:
    """Publish the best model that the job has so far, if it has one, as SO_FAR when what is inside is stopped.

    Raises:
        StoppedError: what is inside was stopped; the message names the checkpoint, `best` too.
    """
    try:
        yield
    except StoppedError as stopped:
        _keep_best(tools, state)
        best = next((name for name in (SO_FAR, FINAL) if (tools.folder.checkpoints / name).is_dir()), None)
        found = "there is no smaller model yet" if best is None else f"the best so far is the checkpoint {best!r}"
        raise StoppedError(f"{stopped}; {found}", best=best) from stopped


def _keep_best(tools: Tools, state: RunState) -> None:
    """The final one stays where it is; else the smallest model that passed, else the best of the step."""
    folder, steps = tools.folder, [outcome.step for outcome in state.outcomes]
    if state.find(VERIFY) is not None:
        return
    kept = start_of(steps) if state.step is not None else best_of(steps) if steps else None
    if kept is not None:
        folder.publish(folder.checkpoints / kept.checkpoint, SO_FAR)
    elif state.step is not None:
        _keep_best_of_step(tools, state, state.step)


def _keep_best_of_step(tools: Tools, state: RunState, step: Step) -> None:
    """The factorized model, if there is one; else the best plan of the searches, factorized."""
    original, calibrated, factorized = state.find(BASELINE), state.find(CALIBRATE), state.find(FACTORIZE)
    if original is None or calibrated is None:
        return
    if factorized is not None:
        after = factorized.record.dev.to_json()
        card = partial(describe, tools.materials, on="dev", before=original.record.dev, after=after)
        tools.folder.publish(factorized.folder / MODEL, SO_FAR, card)
        return
    results = read_results(tools.folder.begun(f"{SEARCH.name}-{step.label}"))
    if results:
        best, kept = winner(results).best, tools.folder.checkpoints / SO_FAR
        save_factorized(tools.materials, kept, start=step.start, workspace=calibrated.folder, plan=best.plan)
        describe(tools.materials, kept, on="proxy", before=original.record.proxy, after={"wer": best.wer})
