"""The stage that judges the best few plans again, on all of dev: a small proxy set flatters whoever asked it most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.folder.stage_results import Plan
from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.pipeline.stages.steps.search_stage import SEARCH, read_results
from agents.search.interruptible import Interruptible
from agents.search.model_evaluator import BATCH_SIZE, shrunk
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import StoredDecompositions, read_problem
from envs.problem import CompressionProblem
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.search_rows import Finalist

N_FINALISTS = 5  # plans of a step that are judged again, on all of dev


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plan that is taken.

    Attributes:
        plan: the finalist of the lowest WER on dev.
        finalists: all of them, the chosen one first.
    """

    plan: Plan
    finalists: Sequence[Finalist]


def finalists(results: Sequence[SearchResult], problem: CompressionProblem) -> list[tuple[SearchResult, Trial]]:
    """The best few plans within the budget that any search judged whole, each once, with the search that was first.

    No plan can be expected to hear better than the model that it cuts: of those that seem to, or do as well, the least
    expected loss is best.
    """

    def order(pair: tuple[SearchResult, Trial]) -> tuple[float, float, int]:
        trial = pair[1]
        return max(trial.wer, problem.baseline_wer), problem.expected_loss(trial.plan), trial.parameters

    found: dict[CompressionPlan, tuple[SearchResult, Trial]] = {}
    for result in results:
        for trial in result.trials:
            if problem.admits(trial.plan) and not trial.stopped:
                found.setdefault(trial.plan, (result, trial))
    return sorted(found.values(), key=order)[:N_FINALISTS]


def choose(
    results: Sequence[SearchResult], problem: CompressionProblem, wer_on_dev: Callable[[CompressionPlan], float]
) -> Chosen:
    """The finalist of the lowest WER on all of dev, and the others."""
    judged = [(wer_on_dev(trial.plan), result, trial) for result, trial in finalists(results, problem)]
    judged.sort(key=lambda row: row[0])
    rows = [Finalist(result.strategy, result.seed, trial.wer, wer) for wer, result, trial in judged]
    return Chosen(judged[0][2].plan, rows)


def choose_from(materials: Materials, results: Sequence[SearchResult], *, start: Path, workspace: Path) -> Chosen:
    """The choice among the plans of `results`, each made of the factors in a workspace.

    Args:
        materials: the speech.
        results: of all searches.
        start: the checkpoint that was searched.
        workspace: of the searches.
    """
    model, decompositions = materials.opened(start), StoredDecompositions(workspace)

    def wer_on_dev(plan: CompressionPlan) -> float:
        small = Interruptible(shrunk(model, plan, decompositions), materials.should_stop)
        return word_error_rate(small, materials.dev, batch_size=BATCH_SIZE, normaliser=materials.normaliser)

    return choose(results, read_problem(workspace), wer_on_dev)


def _run(context: StageContext) -> Chosen:
    results, workspace = read_results(context.folder_of(SEARCH)), context.folder_of(CALIBRATE)
    return choose_from(context.tools.materials, results, start=context.step.start, workspace=workspace)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=N_FINALISTS * sizes.dev)


CHOOSE = Stage("choose", Chosen, _run, _work, per_step=True)
